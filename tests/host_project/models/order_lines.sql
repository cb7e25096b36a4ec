{{ config(materialized='view') }}

select
    line_number as transaction_id,
    order_number as order_id,
    client as customer_id,
    sold_at as ordered_at,
    article as product_id,
    department as product_category,
    pieces as quantity,
    price as amount,
    paid_by as payment_method,
    cast(null as timestamp) as updated_at,
    cast(null as boolean) as is_deleted,
    cast(null as boolean) as replaces_order,
    cast(null as string) as unparsed_values,
    cast(null as int) as file_number,
    entered_at as loaded_at
from {{ source('warehouse', 'sales') }}
