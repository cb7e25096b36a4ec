with transactions as (
    select * from {{ ref('stg_transactions') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

reasons as (
    select explode(array(
        'broken_line',
        'missing_timestamp',
        'sentinel_date',
        'missing_amount',
        'not_a_number',
        'zero_quantity_and_amount',
        'duplicate_transaction_id',
        'future_dated',
        'after_as_of_date'
    )) as reason
),

judged as (
    select
        transactions.amount_cents,
        coalesce(
            transactions.rejection_reason,
            case when transactions.ordered_on > as_of.as_of_date then 'after_as_of_date' end
        ) as reason
    from transactions
    cross join as_of
),

-- Lines without a reason are in the marts; they count in the total only.
left_out as (
    select
        reason,
        count(*) as rows,
        coalesce(sum(amount_cents), 0) as amount_cents
    from judged
    group by reason
),

totals as (
    select sum(rows) as rows from left_out
),

final as (
    select
        reasons.reason,
        coalesce(left_out.rows, 0) as rows,
        {{ money('coalesce(left_out.amount_cents, 0)') }} as amount,
        {{ share('coalesce(left_out.rows, 0)', 'totals.rows') }} as share
    from reasons
    left join left_out on reasons.reason = left_out.reason
    cross join totals
)

select * from final
