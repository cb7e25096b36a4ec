{{ config(materialized='view') }}

with as_of as (
    select * from {{ ref('int_as_of_date') }}
),

final as (
    select
        as_of_date,
        {{ var('refit_days') }} as refit_days,
        cast({{ var('refit_share') }} as double) as refit_share,
        {{ var('fit_customers') }} as fit_customers
    from as_of
)

select * from final
