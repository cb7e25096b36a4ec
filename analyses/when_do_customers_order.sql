-- On which weekdays and at what hour do customers order?
--
-- Read: weekday 1 is Monday. busiest_hour is the hour of that weekday with the most orders, and
-- busiest_hour_share its share of the orders with a known time; both are null without such orders.
-- Beware: hours are UTC. Exactly midnight counts as unknown, because a line with only a date has that
-- time. Guests are included.

with hours as (
    select * from {{ ref('purchases_by_weekday_hour') }}
),

weekdays as (
    select
        weekday,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue,
        sum(timed_orders) as timed_orders,
        -- Among hours with equally many orders, the earliest.
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
