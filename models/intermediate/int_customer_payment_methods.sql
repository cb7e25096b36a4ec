{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with transactions as (
    select * from {{ ref('int_transactions') }}
),

-- One row per order and method, because an order with two methods counts once for each.
order_payment_methods as (
    select
        customer_key,
        is_guest,
        order_key,
        coalesce(payment_method, 'Unknown') as payment_method,
        max(is_purchase) as is_purchase,
        sum(amount_cents) as net_cents
    from transactions
    group by customer_key, is_guest, order_key, coalesce(payment_method, 'Unknown')
),

final as (
    select
        customer_key,
        is_guest,
        payment_method,
        count_if(is_purchase) as orders,
        sum(net_cents) as net_cents
    from order_payment_methods
    group by customer_key, is_guest, payment_method
)

select * from final
