-- Are the good segments growing, from the first to the last month end of the history?
--
-- Read: customers_then is the first month end, customers_now the last one. A share_change of 0.01
-- means one more customer in a hundred.
-- Beware: scores compare customers with each other, so shares change little even when all buy less.

with history as (
    select * from {{ ref('customer_segment_history') }}
),

sizes as (
    select
        month_end,
        segment,
        count(*) as customers
    from history
    group by month_end, segment
),

history_span as (
    select
        min(month_end) as first_month_end,
        max(month_end) as last_month_end
    from sizes
),

segments as (
    select
        sizes.segment,
        sum(case when sizes.month_end = history_span.first_month_end then sizes.customers else 0 end)
            as customers_then,
        sum(case when sizes.month_end = history_span.last_month_end then sizes.customers else 0 end)
            as customers_now
    from sizes
    cross join history_span
    group by sizes.segment
),

segment_shares as (
    select
        segment,
        customers_then,
        customers_now,
        {{ share('customers_then', 'sum(customers_then) over ()') }} as share_then,
        {{ share('customers_now', 'sum(customers_now) over ()') }} as share_now
    from segments
),

final as (
    select
        segment,
        customers_then,
        customers_now,
        share_then,
        share_now,
        share_now - share_then as share_change
    from segment_shares
)

select * from final
order by share_change desc, segment asc
