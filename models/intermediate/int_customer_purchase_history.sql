{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with customer_days as (
    select * from {{ ref('int_customer_days') }}
),

scoring_dates as (
    select * from {{ ref('int_scoring_dates') }}
    where is_holdout_start or is_as_of_date
),

days_with_first_purchase as (
    select
        *,
        min(case when orders > 0 then ordered_on end) over (partition by customer_key)
            as first_purchase_on
    from customer_days
),

final as (
    select /*+ broadcast(scoring_dates) */
        days.customer_key,
        days.customer_id,
        scoring_dates.scored_on,
        scoring_dates.is_holdout_start,
        scoring_dates.is_as_of_date,
        count_if(days.orders > 0) - 1 as repeat_purchase_days,
        datediff(
            max(case when days.orders > 0 then days.ordered_on end), days.first_purchase_on
        ) as last_purchase_day,
        datediff(scoring_dates.scored_on, days.first_purchase_on) as observed_days,
        coalesce(
            sum(case when days.ordered_on > days.first_purchase_on then days.net_cents end), 0
        ) as repeat_net_cents
    from days_with_first_purchase as days
    inner join scoring_dates on days.ordered_on <= scoring_dates.scored_on
    group by
        days.customer_key,
        days.customer_id,
        days.first_purchase_on,
        scoring_dates.scored_on,
        scoring_dates.is_holdout_start,
        scoring_dates.is_as_of_date
    having count_if(days.orders > 0) > 0
)

select * from final
