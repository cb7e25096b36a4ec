{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with orders as (
    select * from {{ ref('int_orders') }}
),

final as (
    select
        customer_key,
        is_guest,
        trunc(ordered_on, 'month') as month,
        count_if(is_purchase) as orders,
        sum(net_cents) as net_cents
    from orders
    group by customer_key, is_guest, trunc(ordered_on, 'month')
)

select * from final
