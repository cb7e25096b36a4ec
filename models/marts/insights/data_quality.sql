with transactions as (
    select * from {{ ref('stg_transactions') }}
),

reasons as (
    select * from {{ ref('rejection_reasons') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

-- The reason is null for lines that the marts use: they count in the total only.
lines as (
    select
        transactions.amount_cents,
        coalesce(
            transactions.rejection_reason,
            case when transactions.ordered_on > as_of.as_of_date then 'after_as_of_date' end
        ) as reason
    from transactions
    cross join as_of
),

lines_by_reason as (
    select
        reason,
        count(*) as rows,
        coalesce(sum(amount_cents), 0) as amount_cents
    from lines
    group by reason
),

totals as (
    select sum(rows) as rows from lines_by_reason
),

final as (
    select
        reasons.reason,
        reasons.meaning,
        reasons.advice,
        coalesce(lines_by_reason.rows, 0) as rows,
        {{ money('coalesce(lines_by_reason.amount_cents, 0)') }} as amount,
        {{ share('coalesce(lines_by_reason.rows, 0)', 'totals.rows') }} as share
    from reasons
    left join lines_by_reason on reasons.reason = lines_by_reason.reason
    cross join totals
)

select * from final
