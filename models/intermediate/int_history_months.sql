with as_of as (
    select * from {{ ref('int_as_of_date') }}
),

transactions as (
    select * from {{ ref('stg_transactions') }}
    where rejection_reason is null
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

-- A line that the published history does not include changes the month ends from its day on.
new_lines as (
    select min(ordered_on) as first_on
    from transactions
    where batch > (select max(published_months.last_batch) from published_months)
),

last_batch as (
    select max(batch) as last_batch
    from transactions
),

final as (
    select
        month_ends.month_end,
        published_months.month_end is not null
        and coalesce(new_lines.first_on > month_ends.month_end, true) as is_kept,
        last_batch.last_batch,
        '{{ origin_of_history() }}' as built_from
    from month_ends
    left join published_months on month_ends.month_end = published_months.month_end
    cross join new_lines
    cross join last_batch
)

select * from final
