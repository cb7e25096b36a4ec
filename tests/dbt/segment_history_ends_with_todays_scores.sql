-- Fails when the as-of date is a month end and the history's scores of that day differ from the current
-- ones. On any other as-of date there is nothing to compare.
with as_of as (
    select * from {{ ref('int_as_of_date') }}
    where as_of_date = last_day(as_of_date)
),

history as (
    select history.*
    from {{ ref('customer_segment_history') }} as history
    inner join as_of on history.month_end = as_of.as_of_date
),

today as (
    select customers.*
    from {{ ref('customer_features') }} as customers
    cross join as_of
    where customers.orders > 0
),

-- Both tables are stored by customer_key, so this join needs no shuffle.
final as (
    select coalesce(today.customer_id, history.customer_id) as customer_id
    from today
    full outer join history on today.customer_key = history.customer_key
    where
        (
            struct(today.recency_days, today.orders, today.net_revenue, today.rfm_score, today.segment)
            <=> struct(
                history.recency_days,
                history.frequency,
                history.monetary,
                history.rfm_score,
                history.segment
            )
        ) is not true
)

select * from final
