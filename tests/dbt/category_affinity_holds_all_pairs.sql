-- Fails when pairs are missing or counted twice: an order with k of the compared categories has
-- k * (k - 1) ordered pairs.
with transactions as (
    select * from {{ ref('int_transactions') }}
    where is_purchase and product_category is not null
),

orders as (
    select collect_set(product_category) as categories
    from transactions
    group by customer_key, order_key
),

-- Orders with the same categories. Spark computes these few rows once and reads them twice.
baskets as (
    select
        array_sort(categories) as categories,
        count(*) as orders
    from orders
    group by array_sort(categories)
),

basket_categories as (
    select
        categories,
        orders,
        explode(categories) as product_category
    from baskets
),

frequent_categories as (
    select product_category
    from basket_categories
    group by product_category
    order by sum(orders) desc, product_category asc
    limit {{ var('affinity_categories') }}
),

compared as (
    select
        basket_categories.orders,
        count(*) as categories
    from basket_categories
    inner join frequent_categories
        on basket_categories.product_category = frequent_categories.product_category
    group by basket_categories.categories, basket_categories.orders
),

expected as (
    select coalesce(sum(orders * categories * (categories - 1)), 0) as pairs
    from compared
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
