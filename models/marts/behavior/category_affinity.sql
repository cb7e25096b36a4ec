with transactions as (
    select * from {{ ref('int_transactions') }}
    where is_purchase and product_category is not null
),

orders as (
    select
        customer_key,
        order_key,
        array_sort(collect_set(product_category)) as categories
    from transactions
    group by customer_key, order_key
),

-- Pairs are made once for all orders of the same categories: baskets are few, orders are many.
baskets as (
    select
        categories,
        count(*) as orders
    from orders
    group by categories
),

basket_categories as (
    select
        explode(categories) as category,
        categories,
        orders
    from baskets
),

-- Each basket once, by its first category. From `baskets` itself, Spark would read the lines twice.
all_orders as (
    select sum(orders) as orders
    from basket_categories
    where category = categories[0]
),

category_orders as (
    select
        category,
        sum(orders) as orders
    from basket_categories
    group by category
),

basket_pairs as (
    select
        category as antecedent,
        explode(array_remove(categories, category)) as consequent,
        orders
    from basket_categories
),

pairs as (
    select
        antecedent,
        consequent,
        sum(orders) as orders_both
    from basket_pairs
    group by antecedent, consequent
),

final as (
    select
        pairs.antecedent,
        pairs.consequent,
        pairs.orders_both,
        {{ share('pairs.orders_both', 'all_orders.orders') }} as support,
        {{ share('pairs.orders_both', 'antecedents.orders') }} as confidence,
        -- (orders_both / antecedent orders) / (consequent orders / all orders) in one division.
        {{ share(
            'pairs.orders_both * all_orders.orders', '(antecedents.orders * consequents.orders)'
        ) }} as lift
    from pairs
    inner join category_orders as antecedents on pairs.antecedent = antecedents.category
    inner join category_orders as consequents on pairs.consequent = consequents.category
    cross join all_orders
)

select * from final
