-- On which weekdays and at what hour do customers order?
--
-- Read: weekday 1 is Monday; busiest_hour is the hour of that weekday with the most orders, and
-- busiest_hour_share its share of those orders whose time is known; both are null where none is.
-- Beware: hours are UTC; exactly midnight, the time of a date alone, counts as unknown; guests are in.

with hours as (
    select * from {{ ref('purchases_by_weekday_hour') }}
),

weekdays as (
    select
        weekday,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue,
        sum(timed_orders) as timed_orders,
        -- The earliest among hours with equally many orders.
        max_by(hour, struct(timed_orders, -hour)) filter (where timed_orders > 0) as busiest_hour,
        max(timed_orders) as busiest_hour_orders
    from hours
    group by weekday
),

final as (
    select
        weekday,
        orders,
        {{ share('orders', 'sum(orders) over ()') }} as order_share,
        {{ share('net_revenue', 'orders') }} as average_order_value,
        busiest_hour,
        {{ share('busiest_hour_orders', 'timed_orders') }} as busiest_hour_share
    from weekdays
)

select * from final
order by weekday
