-- Warns when the results of a PySpark step have another as-of date than the marts, or when its tables
-- come from different runs. Then run the steps again (`make run`). This is a warning, not an error,
-- because the marts ignore results with another as-of date. A fit that is kept has a day of its own:
-- its tables, and the customers that are scored with it, have the same one.
{{ config(severity='warn') }}

with as_of as (
    select * from {{ ref('int_as_of_date') }}
),

results as (
    select
        'cluster' as step,
        run_id,
        as_of_date
    from {{ source('ml', 'customer_clusters') }}
    union
    select
        'lifetime_value' as step,
        run_id,
        as_of_date
    from {{ source('ml', 'lifetime_value') }}
    union
    select
        'lifetime_value' as step,
        run_id,
        as_of_date
    from {{ source('ml', 'purchase_forecast') }}
),

fits as (
    select
        'cluster' as step,
        run_id,
        fitted_on
    from {{ source('ml', 'cluster_selection') }}
    union
    select
        'cluster' as step,
        run_id,
        fitted_on
    from {{ source('ml', 'cluster_dimensions') }}
    union
    select
        'cluster' as step,
        run_id,
        fitted_on
    from {{ source('ml', 'cluster_centers') }}
    union
    select
        'lifetime_value' as step,
        run_id,
        fitted_on
    from {{ source('ml', 'lifetime_value_models') }}
    union
    select
        'lifetime_value' as step,
        run_id,
        fitted_on
    from {{ source('ml', 'model_evaluation') }}
    union
    select
        'lifetime_value' as step,
        run_id,
        fitted_on
    from {{ source('ml', 'seasonal_index') }}
    union
    select
        'lifetime_value' as step,
        run_id,
        fitted_on
    from {{ source('ml', 'churn_score_ranks') }}
    union
    select
        'cluster' as step,
        cast(null as string) as run_id,
        fitted_on
    from {{ source('ml', 'customer_clusters') }}
    union
    select
        'lifetime_value' as step,
        cast(null as string) as run_id,
        fitted_on
    from {{ source('ml', 'lifetime_value') }}
    union
    select
        'lifetime_value' as step,
        cast(null as string) as run_id,
        fitted_on
    from {{ source('ml', 'purchase_forecast') }}
),

final as (
    select
        results.step,
        count(distinct results.run_id) as runs,
        min(results.as_of_date) as earliest_day
    from results
    cross join as_of
    group by results.step
    having
        count(distinct results.run_id) > 1
        or count_if(results.as_of_date != as_of.as_of_date) > 0
    union all
    select
        'fit of ' || step as step,
        count(distinct run_id) as runs,
        min(fitted_on) as earliest_day
    from fits
    group by step
    having count(distinct run_id) > 1 or count(distinct fitted_on) > 1
)

select * from final
