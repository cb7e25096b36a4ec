-- On which weekdays and at what hour do customers order?
--
-- Read: weekday 1 is Monday; busiest_hour is the hour of that weekday with the most orders.
-- Beware: hours are UTC, and are all 0 in a source that knows only days; guests are in.

with hours as (
    select * from {{ ref('purchases_by_weekday_hour') }}
),

weekdays as (
    select
        weekday,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue,
        -- The earliest among hours with equally many orders.
        max_by(hour, struct(orders, -hour)) as busiest_hour,
        max(orders) as busiest_hour_orders
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
        {{ share('busiest_hour_orders', 'orders') }} as busiest_hour_share
    from weekdays
)

select * from final
order by weekday
