{#- So many days without a line, and at most one line in so many beyond them, make those lines isolated: their
    dates are most likely wrong. -#}
{%- set gap_days = 90 -%}
{%- set lines_per_isolated_line = 100 -%}

with transactions as (
    select * from {{ ref('stg_transactions') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

line_days as (
    select
        transactions.ordered_on,
        count(*) as lines
    from transactions
    inner join as_of on transactions.ordered_on <= as_of.as_of_date
    where transactions.rejection_reason is null
    group by transactions.ordered_on
),

counted_days as (
    select
        ordered_on,
        lead(ordered_on) over (order by ordered_on) as next_on,
        sum(lines) over (order by ordered_on) as lines_by_then,
        sum(lines) over () as all_lines
    from line_days
),

gaps as (
    select
        ordered_on as begins_after,
        next_on as ends_before,
        lines_by_then * {{ lines_per_isolated_line }} <= all_lines as isolates_the_early,
        (all_lines - lines_by_then) * {{ lines_per_isolated_line }} <= all_lines as isolates_the_late
    from counted_days
    where datediff(next_on, ordered_on) > {{ gap_days }}
),

-- Of several gaps those nearest to the bulk of the lines. Null without one.
edges as (
    select
        max(ends_before) filter (where isolates_the_early) as first_on,
        min(begins_after) filter (where isolates_the_late) as last_on
    from gaps
),

marked_days as (
    select
        line_days.*,
        coalesce(line_days.ordered_on < edges.first_on, false) as is_early,
        coalesce(line_days.ordered_on > edges.last_on, false) as is_late
    from line_days
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
