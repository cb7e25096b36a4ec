with orders as (
    select * from {{ ref('int_orders') }}
),

data_period as (
    select * from {{ ref('int_data_period') }}
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

-- Days without an order count too: they lower the orders per day.
calendar as (
    select explode(sequence(first_on, last_on)) as calendar_day
    from data_period
),

-- A full join, because isolated days have orders but are outside the calendar.
all_days as (
    select
        coalesce(calendar.calendar_day, order_days.ordered_on) as ordered_on,
        calendar.calendar_day is not null as is_in_period,
        coalesce(order_days.orders, 0) as orders,
        coalesce(order_days.net_cents, 0) as net_cents
    from calendar
    full outer join order_days on calendar.calendar_day = order_days.ordered_on
),

typed_days as (
    select
        *,
        case when extract(dayofweek_iso from ordered_on) >= 6 then 'weekend' else 'weekday' end
            as day_type
    from all_days
),

totals as (
    select
        day_type,
        sum(orders) as orders,
        sum(net_cents) as net_cents,
        sum(orders) filter (where is_in_period) as orders_in_period,
        count_if(is_in_period) as days
    from typed_days
    group by day_type
),

final as (
    select
        day_types.day_type,
        coalesce(totals.orders, 0) as orders,
        {{ share('totals.orders_in_period', 'totals.days') }} as orders_per_day,
        {{ money('coalesce(totals.net_cents, 0)') }} as net_revenue,
        {{ average_money('totals.net_cents', 'totals.orders') }} as average_order_value
    from day_types
    left join totals on day_types.day_type = totals.day_type
)

select * from final
