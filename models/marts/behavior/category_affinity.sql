with transactions as (
    select * from {{ ref('int_transactions') }}
    where is_purchase and product_category <> 'Unknown'
),

orders as (
    select
        customer_key,
        order_key,
        array_sort(collect_set(product_category)) as categories
    from transactions
    group by customer_key, order_key
),

-- One row per set of categories. Pairs are formed per basket, because there are far fewer baskets
-- than orders.
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

-- Counts each basket once, in the row of its first category. Counting `baskets` instead would make
-- Spark read the lines twice.
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

-- Thousands of categories would give millions of pairs, most of them in one or two orders.
frequent_categories as (
    select
        category,
        orders
    from category_orders
    order by orders desc, category asc
    limit {{ var('affinity_categories') }}
),

frequent_list as (
    select
        collect_list(category) as categories,
        min(orders) as lowest_category_orders
    from frequent_categories
),

basket_pairs as (
    select /*+ broadcast(frequent_categories), broadcast(frequent_list) */
        basket_categories.category as antecedent,
        explode(
            array_remove(
                array_intersect(frequent_list.categories, basket_categories.categories),
                basket_categories.category
            )
        ) as consequent,
        basket_categories.orders
    from basket_categories
    inner join frequent_categories on basket_categories.category = frequent_categories.category
    cross join frequent_list
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
        -- (orders_both / antecedent orders) / (consequent orders / all orders), as a single division.
        {{ share(
            'pairs.orders_both * all_orders.orders', '(antecedents.orders * consequents.orders)'
        ) }} as lift,
        frequent_list.lowest_category_orders
    from pairs
    inner join frequent_categories as antecedents on pairs.antecedent = antecedents.category
    inner join frequent_categories as consequents on pairs.consequent = consequents.category
    cross join all_orders
    cross join frequent_list
)

select * from final
