with customer_categories as (
    select * from {{ ref('int_customer_categories') }}
    where not is_guest
),

customers as (
    select * from {{ ref('customer_features') }}
),

segment_categories as (
    select
        customers.segment,
        customer_categories.product_category,
        sum(customer_categories.orders) as orders,
        sum(customer_categories.net_cents) as net_cents
    from customer_categories
    inner join customers on customer_categories.customer_key = customers.customer_key
    group by customers.segment, customer_categories.product_category
),

orders_with_totals as (
    select
        *,
        sum(orders) over (partition by segment) as segment_orders,
        sum(orders) over (partition by product_category) as category_orders,
        sum(orders) over () as all_orders
    from segment_categories
),

final as (
    select
        segment,
        product_category,
        orders,
        {{ money('net_cents') }} as net_revenue,
        -- (orders / segment_orders) / (category_orders / all_orders), as a single division.
        {{ share('orders * all_orders', '(segment_orders * category_orders)') }} as affinity_index
    from orders_with_totals
)

select * from final
