{# A view, because no model reads it: people look here for the file behind a line or a load. #}
{{ config(materialized='view') }}

with loads as (
    select * from {{ raw_table('loads') }}
),

transactions as (
    select * from {{ ref('stg_transactions') }}
),

counted_lines as (
    select
        file_number,
        rejection_reason,
        count(*) as lines,
        -- Null for usable lines, which the list below leaves out.
        concat(rejection_reason, ': ', count(*)) as reason_and_lines
    from transactions
    where file_number is not null
    group by file_number, rejection_reason
),

counted_files as (
    select
        file_number,
        sum(lines) filter (where rejection_reason is not null) as rejected_lines,
        array_join(array_sort(collect_list(reason_and_lines)), ', ') as rejected_by_reason
    from counted_lines
    group by file_number
),

final as (
    select
        loads.file_number,
        loads.path,
        loads.size,
        loads.loaded_at,
        loads.rows,
        coalesce(counted_files.rejected_lines, 0) as rejected_rows,
        nullif(counted_files.rejected_by_reason, '') as rejected_by_reason
    from loads
    left join counted_files on loads.file_number = counted_files.file_number
    where
        loads.section = 'transactions'
        -- Leaves out files whose lines staging has not processed yet, or were all erased.
        and (loads.rows = 0 or counted_files.file_number is not null)
)

select * from final
