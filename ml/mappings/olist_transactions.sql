-- Revenue is the price and the freight of each item. Canceled orders and orders of unavailable goods
-- earned nothing and are left out. Times are local to Brazil and are not converted.

with orders as (
    select * from olist_orders_dataset
),

order_items as (
    select * from olist_order_items_dataset
),

products as (
    select * from olist_products_dataset
),

customers as (
    select * from olist_customers_dataset
),

-- The method that paid most of the order.
payments as (
    select
        order_id,
        payment_type,
        row_number() over (
            partition by order_id
            order by sum(cast(payment_value as decimal(18, 2))) desc, payment_type
        ) as payment_rank
    from olist_order_payments_dataset
    group by order_id, payment_type
),

final as (
    select
        concat(order_items.order_id, '-', order_items.order_item_id) as transaction_id,
        order_items.order_id,
        customers.customer_unique_id as customer_id,
        orders.order_purchase_timestamp as ordered_at,
        order_items.product_id,
        products.product_category_name as product_category,
        1 as quantity,
        cast(order_items.price as decimal(18, 2))
        + cast(order_items.freight_value as decimal(18, 2)) as amount,
        payments.payment_type as payment_method
    from order_items
    inner join orders on order_items.order_id = orders.order_id
    inner join customers on orders.customer_id = customers.customer_id
    left join products on order_items.product_id = products.product_id
    left join payments on order_items.order_id = payments.order_id and payments.payment_rank = 1
    where orders.order_status not in ('canceled', 'unavailable')
)

select * from final
