{# A view, so that it has the last run at once. #}
{{ config(materialized='view') }}

with runs as (
    select * from {{ source('audit', 'runs') }}
),

-- Only published tables are counted.
builds as (
    select
        node as table_name,
        run,
        started_at,
        as_of_date,
        seconds,
        rows,
        net_revenue,
        lag(rows) over (partition by node order by run) as previous_rows,
        lag(net_revenue) over (partition by node order by run) as previous_net_revenue,
        row_number() over (partition by node order by run desc) = 1 as is_last
    from runs
    where status = 'success' and rows is not null
),

final as (
    select
        table_name,
        run,
        started_at,
        as_of_date,
        seconds,
        rows,
        previous_rows,
        net_revenue,
        previous_net_revenue,
        -- In a small table, a change by a large share is normal.
        coalesce(
            greatest(rows, previous_rows) >= {{ var('minimum_sample') }}
            and abs(rows - previous_rows) > {{ var('row_jump') }} * previous_rows,
            false
        ) as is_jump,
        is_last
    from builds
)

select * from final
