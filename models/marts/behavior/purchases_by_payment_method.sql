with transactions as (
    select * from {{ ref('int_transactions') }}
),

-- One row per order and method: an order paid with two methods counts for both.
order_payment_methods as (
    select
        customer_key,
        order_key,
        coalesce(payment_method, 'Unknown') as payment_method,
        max(is_purchase) as is_purchase,
        sum(amount_cents) as net_cents
    from transactions
    group by customer_key, order_key, coalesce(payment_method, 'Unknown')
),

payment_methods as (
    select
        payment_method,
        count_if(is_purchase) as orders,
        sum(net_cents) as net_cents
    from order_payment_methods
    group by payment_method
),

all_orders as (
    select count_if(is_purchase) as orders
    from {{ ref('int_orders') }}
),

final as (
    select
        payment_methods.payment_method,
        payment_methods.orders,
        {{ money('payment_methods.net_cents') }} as net_revenue,
        {{ average_money('payment_methods.net_cents', 'payment_methods.orders') }}
            as average_order_value,
        {{ share('payment_methods.orders', 'all_orders.orders') }} as order_share
    from payment_methods
    cross join all_orders
)

select * from final
