with as_of as (
    select * from {{ ref('int_as_of_date') }}
),

history_months as (
    select * from {{ ref('int_history_months') }}
    where not is_kept
),

-- Also the month end before each, because the history tells from which segment customers came.
month_ends as (
    select explode(array(month_end, last_day(add_months(month_end, -1)))) as scored_on
    from history_months
),

purposes as (
    select
        scored_on,
        'month end' as purpose
    from month_ends
    union all
    select
        date_sub(as_of_date, {{ var('holdout_days') }}) as scored_on,
        'holdout start' as purpose
    from as_of
    union all
    select
        as_of_date as scored_on,
        'as-of date' as purpose
    from as_of
),

-- One row per day: a day can have several purposes.
scoring_dates as (
    select
        scored_on,
        bool_or(purpose = 'month end') as is_month_end,
        bool_or(purpose = 'holdout start') as is_holdout_start,
        bool_or(purpose = 'as-of date') as is_as_of_date
    from purposes
    where scored_on is not null
    group by scored_on
),

final as (
    select
        scored_on,
        date_add(lag(scored_on, 1, date '0001-01-01') over (order by scored_on), 1) as counts_from,
        is_month_end,
        is_holdout_start,
        is_as_of_date
    from scoring_dates
)

select * from final
