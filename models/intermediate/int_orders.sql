{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with transactions as (
    select * from {{ ref('int_transactions') }}
),

orders as (
    select
        customer_key,
        customer_id,
        is_guest,
        order_key,
        min(ordered_at) as ordered_at,
        min(case when is_purchase then ordered_on end) as purchased_on,
        max(case when is_purchase then ordered_on end) as last_purchased_on,
        sum(quantity_thousandths) as units_thousandths,
        sum(case when amount_cents > 0 then amount_cents else 0 end) as gross_cents,
        sum(case when amount_cents < 0 then -amount_cents else 0 end) as returned_cents
    from transactions
    group by customer_key, customer_id, is_guest, order_key
),

final as (
    select
        customer_key,
        customer_id,
        is_guest,
        order_key,
        ordered_at,
        cast(ordered_at as date) as ordered_on,
        purchased_on,
        purchased_on is not null as is_purchase,
        datediff(last_purchased_on, purchased_on) as purchase_span_days,
        units_thousandths,
        gross_cents,
        returned_cents,
        gross_cents - returned_cents as net_cents
    from orders
)

select * from final
