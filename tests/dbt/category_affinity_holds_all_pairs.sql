-- Pairs are missing or counted twice: an order with k known categories has k * (k - 1) ordered
-- pairs.
with transactions as (
    select * from {{ ref('int_transactions') }}
    where is_purchase
),

orders as (
    select count(distinct product_category) as categories
    from transactions
    group by customer_key, order_key
),

expected as (
    select coalesce(sum(categories * (categories - 1)), 0) as pairs
    from orders
),

category_affinity as (
    select coalesce(sum(orders_both), 0) as pairs
    from {{ ref('category_affinity') }}
),

final as (
    select
        category_affinity.pairs,
        expected.pairs as expected_pairs
    from category_affinity
    cross join expected
    where category_affinity.pairs is distinct from expected.pairs
)

select * from final
