{{ config(materialized='table') }}

select
    own.customer_id,
    own.order_lines,
    scored.segment
from {{ ref('customers') }} as own
inner join {{ ref('customer_behavior', 'customers') }} as scored on own.customer_id = scored.customer_id
where scored.segment = 'Champions'
