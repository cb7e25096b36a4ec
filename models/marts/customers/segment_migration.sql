with history as (
    select * from {{ ref('customer_segment_history') }}
),

history_months as (
    select * from {{ ref('int_history_months') }}
),

final as (
    select
        month_end,
        previous_segment as from_segment,
        segment as to_segment,
        count(*) as customers,
        cast(sum(month_net_revenue) as decimal(18, 2)) as net_revenue
    from history
    -- The history does not show who was a customer before its first month end, so moves into it are
    -- left out.
    where month_end > (select min(history_months.month_end) from history_months)
    group by month_end, previous_segment, segment
)

select * from final
