with transactions as (
    select * from {{ ref('stg_transactions') }}
),

final as (
    select
        rejection_reason as reason,
        transaction_id,
        order_id,
        customer_id,
        ordered_at,
        product_id,
        product_category,
        {{ quantity('quantity_thousandths') }} as quantity,
        {{ money('amount_cents') }} as amount,
        payment_method,
        updated_at,
        loaded_at,
        unparsed_values
    from transactions
    where rejection_reason is not null
)

select * from final
