-- Fails when a day type is missing, or when its orders or revenue differ from those of its weekdays in
-- `purchases_by_weekday_hour`.
with day_types as (
    select * from {{ ref('weekend_vs_weekday') }}
),

weekdays as (
    select * from {{ ref('purchases_by_weekday_hour') }}
),

expected as (
    select
        'weekday' as day_type,
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(net_revenue), 0) as net_revenue
    from weekdays
    where weekday <= 5
    union all
    select
        'weekend' as day_type,
        coalesce(sum(orders), 0) as orders,
        coalesce(sum(net_revenue), 0) as net_revenue
    from weekdays
    where weekday >= 6
),

final as (
    select
        coalesce(day_types.day_type, expected.day_type) as day_type,
        day_types.orders,
        expected.orders as expected_orders,
        day_types.net_revenue,
        expected.net_revenue as expected_net_revenue
    from day_types
    full outer join expected on day_types.day_type = expected.day_type
    where
        day_types.orders is distinct from expected.orders
        or day_types.net_revenue is distinct from expected.net_revenue
)

select * from final
