-- Warns when the results of a PySpark step have another as-of date than the marts, or when its tables
-- come from different runs. Then run the steps again (`make run`). This is a warning, not an error,
-- because the marts ignore results with another as-of date.
{{ config(severity='warn') }}

with as_of as (
    select * from {{ ref('int_as_of_date') }}
),

results as (
    select
        'cluster' as step,
        run_id,
        as_of_date
    from {{ source('ml', 'cluster_selection') }}
    union
    select
        'cluster' as step,
        run_id,
        as_of_date
    from {{ source('ml', 'cluster_centers') }}
    union
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
    from {{ source('ml', 'lifetime_value_models') }}
    union
    select
        'lifetime_value' as step,
        run_id,
        as_of_date
    from {{ source('ml', 'model_evaluation') }}
),

final as (
    select
        results.step,
        count(distinct results.run_id) as runs,
        min(results.as_of_date) as earliest_as_of_date
    from results
    cross join as_of
    group by results.step
    having
        count(distinct results.run_id) > 1
        or count_if(results.as_of_date != as_of.as_of_date) > 0
)

select * from final
