-- Fails when the moves of a month do not add up, segment by segment: moves to a segment must hold its
-- customers at the month end, and moves from a segment its customers at the previous month end.
with history as (
    select * from {{ ref('customer_segment_history') }}
),

migration as (
    select * from {{ ref('segment_migration') }}
),

month_ends as (
    select * from {{ ref('int_history_months') }}
),

months as (
    select
        month_end,
        lag(month_end) over (order by month_end) as previous_month_end
    from month_ends
),

segments as (
    select
        month_end,
        segment,
        count(*) as customers
    from history
    group by month_end, segment
),

expected as (
    select
        months.month_end,
        'to' as side,
        segments.segment,
        segments.customers
    from segments
    inner join months on segments.month_end = months.month_end
    where months.previous_month_end is not null
    union all
    select
        months.month_end,
        'from' as side,
        segments.segment,
        segments.customers
    from segments
    inner join months on segments.month_end = months.previous_month_end
),

moved as (
    select
        month_end,
        'to' as side,
        to_segment as segment,
        sum(customers) as customers
    from migration
    group by month_end, to_segment
    union all
    select
        month_end,
        'from' as side,
        from_segment as segment,
        sum(customers) as customers
    from migration
    where from_segment <> 'Prospects'
    group by month_end, from_segment
),

final as (
    select
        coalesce(expected.month_end, moved.month_end) as month_end,
        coalesce(expected.side, moved.side) as side,
        coalesce(expected.segment, moved.segment) as segment,
        expected.customers as expected_customers,
        moved.customers
    from expected
    full outer join moved
        on
            expected.month_end = moved.month_end
            and expected.side = moved.side
            and expected.segment = moved.segment
    where (expected.customers = moved.customers) is not true
)

select * from final
