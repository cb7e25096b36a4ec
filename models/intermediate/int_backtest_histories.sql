{# A view, because only a fit reads it, and most runs keep the last fit. #}
{{ config(materialized='view') }}

with histories as (
    select * from {{ ref('int_customer_histories') }}
),

final as (
    select
        origin_on,
        holdouts_back,
        repeat_purchase_days,
        last_purchase_day,
        observed_days,
        count(*) as customers,
        count_if(is_sampled) as sampled_customers,
        sum(greatest(repeat_net_cents, 0)) as spend_cents,
        count_if(holdout_purchase_days > 0) as holdout_buyers,
        sum(holdout_purchase_days) as holdout_purchase_days,
        sum(holdout_net_cents) as holdout_net_cents,
        sum(greatest(repeat_net_cents, 0) * holdout_purchase_days)
            as spend_cents_times_holdout_days
    from histories
    group by origin_on, holdouts_back, repeat_purchase_days, last_purchase_day, observed_days
)

select * from final
