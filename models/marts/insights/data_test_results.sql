{# A view, so that it has the last results at once. #}
{{ config(materialized='view') }}

with results as (
    select * from {{ source('audit', 'test_results') }}
),

numbered_results as (
    select
        *,
        row_number() over (partition by test order by run desc) as age
    from results
),

final as (
    select
        test,
        model,
        status,
        failures,
        seconds,
        started_at as tested_at
    from numbered_results
    where age = 1 and status <> 'removed'
)

select * from final
