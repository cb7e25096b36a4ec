{# It has the name of a mart of the package, and is published by the package's materialization. #}
{{ config(materialized='published_table') }}

select
    customer_id,
    count(*) as order_lines
from {{ ref('order_lines') }}
where customer_id is not null
group by customer_id
