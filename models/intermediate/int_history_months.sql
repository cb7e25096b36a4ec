with as_of as (
    select * from {{ ref('int_as_of_date') }}
),

transactions as (
    select * from {{ ref('stg_transactions') }}
    where rejection_reason is null
),

superseded_transactions as (
    select * from {{ ref('stg_superseded_transactions') }}
),

published_months as (
    {{ published_months() }}
),

-- Counted back from the day after the as-of date, so that an as-of date at a month end is included.
month_ends as (
    select
        explode(
            transform(
                sequence(1, {{ var('history_months') }}),
                months -> last_day(add_months(date_add(as_of_date, 1), -months))
            )
        ) as month_end
    from as_of
    where as_of_date is not null
),

-- The published history does not include the lines that were loaded or superseded after its last batch. Such
-- a line changes all month ends from its day on.
changed_lines as (
    select
        ordered_on,
        batch
    from transactions
    union all
    select
        first_ordered_on as ordered_on,
        superseded_in as batch
    from superseded_transactions
),

changes as (
    select min(ordered_on) as first_on
    from changed_lines
    where batch > (select max(published_months.last_batch) from published_months)
),

last_batch as (
    select max(batch) as last_batch
    from changed_lines
),

final as (
    select
        month_ends.month_end,
        published_months.month_end is not null
        and coalesce(changes.first_on > month_ends.month_end, true) as is_kept,
        last_batch.last_batch,
        '{{ origin_of_history() }}' as built_from
    from month_ends
    left join published_months on month_ends.month_end = published_months.month_end
    cross join changes
    cross join last_batch
)

select * from final
