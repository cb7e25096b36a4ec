{# A view, because only a fit reads it, and most runs keep the last fit. #}
{{ config(materialized='view') }}

with histories as (
    select * from {{ ref('int_customer_histories') }}
    where is_sampled
),

-- Customers who returned all of their repeat purchases are left out: the spend model needs amounts
-- above 0.
final as (
    select
        origin_on,
        repeat_purchase_days,
        repeat_net_cents,
        count(*) as customers
    from histories
    where repeat_purchase_days > 0 and repeat_net_cents > 0
    group by origin_on, repeat_purchase_days, repeat_net_cents
)

select * from final
