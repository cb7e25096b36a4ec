{# A view, because its three readers each need other rows and columns: writing all of them costs more. #}
{{ config(materialized='view') }}

with customer_days as (
    select * from {{ ref('int_customer_days') }}
),

origins as (
    select * from {{ ref('int_backtest_origins') }}
),

days_with_first_purchase as (
    select
        *,
        min(case when orders > 0 then ordered_on end) over (partition by customer_key)
            as first_purchase_on
    from customer_days
),

-- A customer is known at an origin from the first purchase on.
final as (
    select /*+ broadcast(origins) */
        days.customer_key,
        days.customer_id,
        origins.origin_on,
        origins.holdouts_back,
        count_if(days.orders > 0 and days.ordered_on <= origins.origin_on) - 1
            as repeat_purchase_days,
        datediff(
            max(
                case
                    when days.orders > 0 and days.ordered_on <= origins.origin_on
                        then days.ordered_on
                end
            ),
            days.first_purchase_on
        ) as last_purchase_day,
        datediff(origins.origin_on, days.first_purchase_on) as observed_days,
        sum(
            case
                when
                    days.ordered_on > days.first_purchase_on
                    and days.ordered_on <= origins.origin_on
                    then days.net_cents
                else 0
            end
        ) as repeat_net_cents,
        count_if(days.orders > 0 and days.ordered_on > origins.origin_on)
            as holdout_purchase_days,
        sum(case when days.ordered_on > origins.origin_on then days.net_cents else 0 end)
            as holdout_net_cents
    from days_with_first_purchase as days
    inner join origins
        on
            days.first_purchase_on <= origins.origin_on
            and days.ordered_on <= origins.holdout_ends_on
    group by
        days.customer_key,
        days.customer_id,
        days.first_purchase_on,
        origins.origin_on,
        origins.holdouts_back
)

select * from final
