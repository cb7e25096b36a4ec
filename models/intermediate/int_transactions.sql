{# A view costs nothing to build and keeps the buckets of stg_transactions. #}
{{ config(materialized='view') }}

with transactions as (
    select * from {{ ref('stg_transactions') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

final as (
    select
        transactions.customer_key,
        transactions.customer_id,
        transactions.is_guest,
        transactions.order_key,

        transactions.ordered_at,
        transactions.ordered_on,

        transactions.product_category,
        transactions.payment_method,

        transactions.quantity_thousandths,
        transactions.amount_cents,
        transactions.quantity_thousandths > 0 and transactions.amount_cents >= 0 as is_purchase
    from transactions
    inner join as_of on transactions.ordered_on <= as_of.as_of_date
    where transactions.rejection_reason is null
)

select * from final
