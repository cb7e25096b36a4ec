-- Warns when the results of a PySpark step have another as-of date than the marts, or when its tables
-- come from different runs. Then run the steps again (`make run`). This is a warning, not an error,
-- because the marts ignore results with another as-of date. A fit that is kept has a day of its own:
-- its tables, and the customers that are scored with it, have the same one.
{{ config(severity='warn') }}
{% set scored_tables = [
    ('cluster', 'customer_clusters'),
    ('lifetime_value', 'lifetime_value'),
    ('lifetime_value', 'purchase_forecast'),
] %}
{% set fit_tables = [
    ('cluster', 'cluster_selection'),
    ('cluster', 'cluster_dimensions'),
    ('cluster', 'cluster_centers'),
    ('lifetime_value', 'lifetime_value_models'),
    ('lifetime_value', 'model_evaluation'),
    ('lifetime_value', 'seasonal_index'),
    ('lifetime_value', 'churn_score_ranks'),
] %}

with as_of as (
    select * from {{ ref('int_as_of_date') }}
),

-- Spark would group by each distinct value that it counts, so this compares the least with the greatest.
results as (
    {% for step, table in scored_tables %}
        select
            '{{ step }}' as step,
            min(run_id) as first_run,
            max(run_id) as last_run,
            min(as_of_date) as earliest_day,
            max(as_of_date) as latest_day,
            min(fitted_on) as earliest_fit,
            max(fitted_on) as latest_fit
        from {{ source('ml', table) }}
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

fits as (
    {% for step, table in fit_tables %}
        select
            '{{ step }}' as step,
            min(run_id) as first_run,
            max(run_id) as last_run,
            min(fitted_on) as earliest_fit,
            max(fitted_on) as latest_fit
        from {{ source('ml', table) }}
        union all
    {% endfor %}
    select
        step,
        cast(null as string) as first_run,
        cast(null as string) as last_run,
        earliest_fit,
        latest_fit
    from results
),

final as (
    select
        results.step,
        min(results.first_run) as first_run,
        max(results.last_run) as last_run,
        min(results.earliest_day) as earliest_day
    from results
    cross join as_of
    group by results.step, as_of.as_of_date
    having
        min(results.first_run) <> max(results.last_run)
        or min(results.earliest_day) <> as_of.as_of_date
        or max(results.latest_day) <> as_of.as_of_date
    union all
    select
        'fit of ' || step as step,
        min(first_run) as first_run,
        max(last_run) as last_run,
        min(earliest_fit) as earliest_day
    from fits
    group by step
    having min(first_run) <> max(last_run) or min(earliest_fit) <> max(latest_fit)
)

select * from final
