-- Fails when pairs are missing or counted twice: an order with k of the compared categories has
-- k * (k - 1) ordered pairs.
with transactions as (
    select * from {{ ref('int_transactions') }}
    where is_purchase and product_category is not null
),

order_categories as (
    select distinct
        customer_key,
        order_key,
        product_category
    from transactions
),

frequent_categories as (
    select product_category
    from order_categories
    group by product_category
    order by count(*) desc, product_category asc
    limit {{ var('affinity_categories') }}
),

orders as (
    select count(*) as categories
    from order_categories
    inner join frequent_categories
        on order_categories.product_category = frequent_categories.product_category
    group by order_categories.customer_key, order_categories.order_key
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
