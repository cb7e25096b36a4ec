{{ config(materialized='view') }}

select
    {{ var('refit_days') }} as refit_days,
    cast({{ var('refit_share') }} as double) as refit_share
