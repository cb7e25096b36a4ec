{{ config(severity='warn') }}

-- What a PySpark step found is of another as-of date than the mart that it reads, or its tables are of
-- different runs: the step has not run since the data changed. `make run` runs it.
with results as (
    select 'cluster_selection' as name, 'cluster' as step, run_id, as_of_date
    from {{ source('ml', 'cluster_selection') }}
    union
    select 'cluster_centres' as name, 'cluster' as step, run_id, as_of_date
    from {{ source('ml', 'cluster_centres') }}
    union
    select 'customer_clusters' as name, 'cluster' as step, run_id, as_of_date
    from {{ source('ml', 'customer_clusters') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
)

select
    results.step,
    array_sort(collect_set(results.run_id)) as run_ids,
    array_sort(collect_set(results.as_of_date)) as as_of_dates
from results
cross join as_of
group by results.step
having count(distinct results.run_id) > 1 or count_if(results.as_of_date != as_of.as_of_date) > 0
