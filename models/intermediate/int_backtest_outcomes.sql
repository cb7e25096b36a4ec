{# A view, because only a fit reads it, and most runs keep the last fit. #}
{{ config(materialized='view') }}

with origins as (
    select * from {{ ref('int_backtest_origins') }}
),

cohort_purchases as (
    select * from {{ ref('int_cohort_purchases') }}
),

-- The days that forecasts start from. ml/backtests.py has the same 365 days.
starts as (
    select origin_on as known_on from origins
    union
    select date_sub(origin_on, {{ var('holdout_days') }}) as known_on from origins
    union
    select date_sub(origin_on, 365) as known_on from origins
),

final as (
    select /*+ broadcast(starts) */
        starts.known_on,
        cohort_purchases.ordered_on,
        sum(cohort_purchases.purchase_days) as purchase_days,
        sum(cohort_purchases.net_cents) as net_cents
    from cohort_purchases
    inner join starts
        on
            cohort_purchases.first_purchase_on <= starts.known_on
            and cohort_purchases.ordered_on > starts.known_on
    group by starts.known_on, cohort_purchases.ordered_on
)

select * from final
