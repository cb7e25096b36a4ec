-- Fails when a mart of all orders, guests included, has lost revenue or counts some of it twice.
with orders as (
    select {{ money('coalesce(sum(net_cents), 0)') }} as net_revenue
    from {{ ref('int_orders') }}
),

marts as (
    select
        'purchases_by_category' as mart,
        sum(net_revenue) as net_revenue
    from {{ ref('purchases_by_category') }}
    union all
    select
        'purchases_by_payment_method' as mart,
        sum(net_revenue) as net_revenue
    from {{ ref('purchases_by_payment_method') }}
    union all
    select
        'purchases_by_weekday_hour' as mart,
        sum(net_revenue) as net_revenue
    from {{ ref('purchases_by_weekday_hour') }}
    union all
    select
        'weekend_vs_weekday' as mart,
        sum(net_revenue) as net_revenue
    from {{ ref('weekend_vs_weekday') }}
    union all
    select
        'monthly_revenue' as mart,
        sum(net_revenue) as net_revenue
    from {{ ref('monthly_revenue') }}
),

final as (
    select
        marts.mart,
        marts.net_revenue,
        orders.net_revenue as expected_net_revenue
    from marts
    cross join orders
    where coalesce(marts.net_revenue, 0) is distinct from orders.net_revenue
)

select * from final
