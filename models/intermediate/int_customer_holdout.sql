{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with history as (
    select * from {{ ref('int_customer_purchase_history') }}
),

at_start as (
    select * from history
    where is_holdout_start
),

at_end as (
    select * from history
    where is_as_of_date
),

final as (
    select
        at_start.customer_key,
        at_start.customer_id,
        at_start.scored_on as holdout_start,
        at_start.repeat_purchase_days,
        at_start.last_purchase_day,
        at_start.observed_days,
        at_start.repeat_net_cents,
        at_end.repeat_purchase_days - at_start.repeat_purchase_days as holdout_purchase_days,
        at_end.repeat_net_cents - at_start.repeat_net_cents as holdout_net_cents
    from at_start
    inner join at_end on at_start.customer_key = at_end.customer_key
)

select * from final
