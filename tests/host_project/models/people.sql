{{ config(materialized='view') }}

select
    client as customer_id,
    joined_on as registered_on,
    age,
    gender,
    country as region,
    card as membership_level
from {{ source('warehouse', 'people') }}
