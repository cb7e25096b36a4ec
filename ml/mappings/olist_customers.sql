-- Olist gives a customer a new customer_id per order. The region is that of the last order.

select
    customers.customer_unique_id as customer_id,
    max(
        struct(orders.order_purchase_timestamp, customers.customer_state as region)
    ).region as region
from olist_customers_dataset as customers
inner join olist_orders_dataset as orders on customers.customer_id = orders.customer_id
group by customers.customer_unique_id
