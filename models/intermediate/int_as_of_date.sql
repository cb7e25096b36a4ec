with transactions as (
    select * from {{ ref('stg_transactions') }}
),

final as (
    select coalesce({{ given_as_of_date() }}, max(ordered_on)) as as_of_date
    from transactions
    where rejection_reason is null
)

select * from final
