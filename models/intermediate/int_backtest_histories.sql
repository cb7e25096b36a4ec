with histories as (
    select * from {{ ref('int_customer_histories') }}
),

customers as (
    select count(*) as customers from {{ ref('int_customer_purchase_history') }}
),

-- The models are fitted to a sample: the customers whose hash is among the lowest.
sampled_histories as (
    select /*+ broadcast(customers) */
        histories.*,
        greatest(histories.repeat_net_cents, 0) as spend_cents,
        {{ is_in_fit_sample('histories.customer_key', 'customers.customers') }} as is_in_sample
    from histories
    cross join customers
),

final as (
    select
        origin_on,
        holdouts_back,
        repeat_purchase_days,
        last_purchase_day,
        observed_days,
        count(*) as customers,
        count_if(is_in_sample) as sampled_customers,
        sum(spend_cents) as spend_cents,
        count_if(holdout_purchase_days > 0) as holdout_buyers,
        sum(holdout_purchase_days) as holdout_purchase_days,
        sum(holdout_net_cents) as holdout_net_cents,
        sum(spend_cents * holdout_purchase_days) as spend_cents_times_holdout_days
    from sampled_histories
    group by origin_on, holdouts_back, repeat_purchase_days, last_purchase_day, observed_days
)

select * from final
