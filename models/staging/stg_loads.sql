{# Only the page and `make status` read it. #}
{{ config(materialized='view') }}

with transactions as (
    select
        *,
        -- In a table that stays where it is, each line may have a time of its own.
        case when file_number is null then batch else loaded_at end as load_time
    from {{ ref('stg_transactions') }}
),

final as (
    select
        load_time as loaded_at,
        cast(load_time as date) as loaded_on,
        count(*) as lines,
        count_if(rejection_reason is not null and rejection_reason not in ('superseded', 'deleted'))
            as rejected_lines,
        min(ordered_on) filter (where rejection_reason is null) as first_ordered_on,
        max(ordered_on) filter (where rejection_reason is null) as last_ordered_on
    from transactions
    group by load_time
)

select * from final
