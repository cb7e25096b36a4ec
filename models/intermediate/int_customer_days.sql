{# A view, because summing the orders again in the models that read it costs less than writing a table. #}
{{ config(materialized='view') }}

with orders as (
    select * from {{ ref('int_orders') }}
    where not is_guest
),

customer_days as (
    select
        customer_key,
        customer_id,
        ordered_on,
        count_if(is_purchase) as orders,
        sum(units_thousandths) as units_thousandths,
        sum(gross_cents) as gross_cents,
        sum(returned_cents) as returned_cents,
        sum(net_cents) as net_cents
    from orders
    group by customer_key, customer_id, ordered_on
),

final as (
    select
        *,
        min(case when orders > 0 then ordered_on end) over (partition by customer_key)
            as first_purchase_on
    from customer_days
)

select * from final
