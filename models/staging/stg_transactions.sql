{# A view costs nothing to build and keeps the buckets of stg_checked_transactions. #}
{{ config(materialized='view') }}

with transactions as (
    select * from {{ ref('stg_checked_transactions') }}
),

superseded as (
    select
        line_key,
        loaded_at
    from {{ ref('stg_superseded_transactions') }}
),

final as (
    select
        transactions.customer_key,
        transactions.customer_id,
        transactions.is_guest,
        transactions.order_key,
        transactions.order_id,
        transactions.transaction_id,

        transactions.ordered_at,
        transactions.ordered_on,
        transactions.loaded_at,
        transactions.file_number,

        transactions.product_id,
        transactions.product_category,
        transactions.payment_method,
        transactions.quantity_thousandths,
        transactions.amount_cents,

        transactions.updated_at,
        transactions.unparsed_values,
        case
            when
                superseded.line_key is not null
                and (transactions.rejection_reason is null or transactions.rejection_reason = 'deleted')
                then 'superseded'
            else transactions.rejection_reason
        end as rejection_reason,
        transactions.batch
    from transactions
    left join superseded
        on
            transactions.line_key = superseded.line_key
            and transactions.loaded_at = superseded.loaded_at
)

select * from final
