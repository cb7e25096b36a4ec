with customer_payment_methods as (
    select * from {{ ref('int_customer_payment_methods') }}
),

payment_methods as (
    select
        payment_method,
        sum(orders) as orders,
        sum(net_cents) as net_cents
    from customer_payment_methods
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
