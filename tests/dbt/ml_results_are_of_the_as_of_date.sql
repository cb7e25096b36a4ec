-- Run the PySpark steps again (make run): what they found is of another day than the marts. A warning, since
-- the mart customers takes over no prediction of another day.
{{ config(severity='warn') }}

with as_of as (
    select * from {{ ref('int_as_of_date') }}
),

results as (
    select as_of_date from {{ source('ml', 'customer_clusters') }}
    union
    select as_of_date from {{ source('ml', 'cluster_centres') }}
    union
    select as_of_date from {{ source('ml', 'lifetime_value') }}
    union
    select as_of_date from {{ source('ml', 'lifetime_value_models') }}
    union
    select as_of_date from {{ source('ml', 'model_evaluation') }}
),

final as (
    select results.as_of_date
    from results
    cross join as_of
    where (results.as_of_date = as_of.as_of_date) is not true
)

select * from final
