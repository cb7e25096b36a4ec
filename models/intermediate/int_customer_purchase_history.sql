{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with histories as (
    select * from {{ ref('int_customer_histories') }}
),

final as (
    select
        customer_key,
        customer_id,
        origin_on as scored_on,
        repeat_purchase_days,
        last_purchase_day,
        observed_days,
        repeat_net_cents
    from histories
    where holdouts_back = 0
)

select * from final
