{# Only the page and `make status` read it. #}
{{ config(materialized='view') }}

with transactions as (
    select * from {{ ref('stg_transactions') }}
),

final as (
    select
        loaded_at,
        cast(loaded_at as date) as loaded_on,
        count(*) as lines,
        count_if(rejection_reason is not null and rejection_reason not in ('superseded', 'deleted'))
            as rejected_lines,
        min(ordered_on) filter (where rejection_reason is null) as first_ordered_on,
        max(ordered_on) filter (where rejection_reason is null) as last_ordered_on
    from transactions
    group by loaded_at
)

select * from final
