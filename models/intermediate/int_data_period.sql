with transactions as (
    select * from {{ ref('stg_transactions') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

days as (
    select
        transactions.ordered_on,
        count(*) as lines
    from transactions
    inner join as_of on transactions.ordered_on <= as_of.as_of_date
    where transactions.rejection_reason is null
    group by transactions.ordered_on
),

cumulative_days as (
    select
        ordered_on,
        lead(ordered_on) over (order by ordered_on) as next_on,
        sum(lines) over (order by ordered_on) as cumulative_lines,
        sum(lines) over () as all_lines
    from days
),

-- If there are only a few lines beyond a long gap, their dates are probably wrong: they are
-- isolated.
gaps as (
    select
        ordered_on as begins_after,
        next_on as ends_before,
        cumulative_lines * {{ var('lines_per_isolated_line') }} <= all_lines as isolates_early_lines,
        (all_lines - cumulative_lines) * {{ var('lines_per_isolated_line') }} <= all_lines
            as isolates_late_lines
    from cumulative_days
    where datediff(next_on, ordered_on) > {{ var('isolating_gap_days') }}
),

-- If one side has several gaps, the gap nearest to the other lines counts. Null without a gap.
edges as (
    select
        max(ends_before) filter (where isolates_early_lines) as first_on,
        min(begins_after) filter (where isolates_late_lines) as last_on
    from gaps
),

marked_days as (
    select
        days.*,
        coalesce(days.ordered_on < edges.first_on, false) as is_early,
        coalesce(days.ordered_on > edges.last_on, false) as is_late
    from days
    cross join edges
),

final as (
    select
        min(ordered_on) filter (where not is_early) as first_on,
        max(ordered_on) filter (where not is_late) as last_on,
        coalesce(sum(lines) filter (where is_early), 0) as early_lines,
        min(ordered_on) filter (where is_early) as first_early_on,
        coalesce(sum(lines) filter (where is_late), 0) as late_lines,
        max(ordered_on) filter (where is_late) as last_late_on
    from marked_days
)

select * from final
