with orders as (
    select * from {{ ref('int_orders') }}
),

customers as (
    select
        customer_key,
        trunc(first_order_on, 'month') as cohort_month
    from {{ ref('int_customers') }}
),

customer_months as (
    select
        customer_key,
        is_guest,
        trunc(ordered_on, 'month') as month,
        count_if(is_purchase) as orders,
        sum(net_cents) as net_cents
    from orders
    group by customer_key, is_guest, trunc(ordered_on, 'month')
),

final as (
    select
        customers.cohort_month,
        customer_months.is_guest,
        customer_months.month,
        sum(customer_months.orders) as orders,
        count_if(customer_months.orders > 0 and not customer_months.is_guest) as customers,
        sum(customer_months.net_cents) as net_cents
    from customer_months
    left join customers on customer_months.customer_key = customers.customer_key
    group by customers.cohort_month, customer_months.is_guest, customer_months.month
)

select * from final
