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

results as (
    {% for step, table in scored_tables %}
        select
            '{{ step }}' as step,
            run_id,
            as_of_date,
            fitted_on
        from {{ source('ml', table) }}
        {{ 'union' if not loop.last }}
    {% endfor %}
),

fits as (
    {% for step, table in fit_tables %}
        select
            '{{ step }}' as step,
            run_id,
            fitted_on
        from {{ source('ml', table) }}
        union
    {% endfor %}
    select
        step,
        cast(null as string) as run_id,
        fitted_on
    from results
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
