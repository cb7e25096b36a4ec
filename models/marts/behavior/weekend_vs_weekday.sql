with orders as (
    select * from {{ ref('int_orders') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

day_types as (
    select explode(array('weekday', 'weekend')) as day_type
),

order_days as (
    select
        ordered_on,
        count_if(is_purchase) as orders,
        sum(net_cents) as net_cents
    from orders
    group by ordered_on
),

period as (
    select
        min(order_days.ordered_on) as first_day,
        max(as_of.as_of_date) as last_day
    from order_days
    cross join as_of
),

-- Days without an order count too: they lower the orders per day.
calendar as (
    select explode(sequence(first_day, last_day)) as calendar_day
    from period
),

typed_days as (
    select
        calendar_day,
        case when extract(dayofweek_iso from calendar_day) >= 6 then 'weekend' else 'weekday' end
            as day_type
    from calendar
),

totals as (
    select
        typed_days.day_type,
        count(*) as days,
        coalesce(sum(order_days.orders), 0) as orders,
        coalesce(sum(order_days.net_cents), 0) as net_cents
    from typed_days
    left join order_days on typed_days.calendar_day = order_days.ordered_on
    group by typed_days.day_type
),

final as (
    select
        day_types.day_type,
        coalesce(totals.orders, 0) as orders,
        {{ share('totals.orders', 'totals.days') }} as orders_per_day,
        {{ money('coalesce(totals.net_cents, 0)') }} as net_revenue,
        {{ average_money('totals.net_cents', 'totals.orders') }} as average_order_value
    from day_types
    left join totals on day_types.day_type = totals.day_type
)

select * from final
