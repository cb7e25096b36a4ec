-- Fails when a mart of all orders, guests included, has lost purchase orders or counts some twice. An
-- order counts in each of its categories and payment methods: there the sum can be higher than the
-- number of orders, but no single row can.
with orders as (
    select count_if(is_purchase) as orders
    from {{ ref('int_orders') }}
),

marts as (
    select
        'purchases_by_category' as mart,
        max(orders) as at_least,
        sum(orders) as at_most
    from {{ ref('purchases_by_category') }}
    union all
    select
        'purchases_by_payment_method' as mart,
        max(orders) as at_least,
        sum(orders) as at_most
    from {{ ref('purchases_by_payment_method') }}
    union all
    select
        'purchases_by_weekday_hour' as mart,
        sum(orders) as at_least,
        sum(orders) as at_most
    from {{ ref('purchases_by_weekday_hour') }}
    union all
    select
        'weekend_vs_weekday' as mart,
        sum(orders) as at_least,
        sum(orders) as at_most
    from {{ ref('weekend_vs_weekday') }}
    union all
    select
        'monthly_revenue' as mart,
        sum(orders) as at_least,
        sum(orders) as at_most
    from {{ ref('monthly_revenue') }}
),

final as (
    select
        marts.mart,
        marts.at_least,
        marts.at_most,
        orders.orders as expected_orders
    from marts
    cross join orders
    where
        (orders.orders between coalesce(marts.at_least, 0) and coalesce(marts.at_most, 0))
        is not true
)

select * from final
