-- Are the good segments growing, from the first to the last month end of the history?
--
-- Read: customers_then and customers_now are of those two month ends; share_change 0.01 is one
-- customer in a hundred more.
-- Beware: scores compare customers with each other, so shares move little even when all buy less.

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

span as (
    select
        min(month_end) as first_month_end,
        max(month_end) as last_month_end
    from sizes
),

segments as (
    select
        sizes.segment,
        sum(case when sizes.month_end = span.first_month_end then sizes.customers else 0 end)
            as customers_then,
        sum(case when sizes.month_end = span.last_month_end then sizes.customers else 0 end)
            as customers_now
    from sizes
    cross join span
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
