{# A view, because its three readers need different rows and columns. A table of all would cost more. #}
{{ config(materialized='view') }}

with customer_days as (
    select * from {{ ref('int_customer_days') }}
),

origins as (
    select * from {{ ref('int_backtest_origins') }}
),

customers as (
    select * from {{ ref('int_customers') }}
),

buyers as (
    select count_if(orders > 0) as buyers from customers
),

-- An origin has the customers whose first purchase is on or before it.
final as (
    select /*+ broadcast(origins, buyers) */
        days.customer_key,
        days.customer_id,
        origins.origin_on,
        origins.holdouts_back,
        -- The models are fitted to a sample, which is the same for any layout of the files.
        pmod(xxhash64(days.customer_key), buyers.buyers) < {{ var('fit_customers') }} as is_sampled,
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
    from customer_days as days
    inner join origins
        on
            days.first_purchase_on <= origins.origin_on
            and days.ordered_on <= origins.holdout_ends_on
    cross join buyers
    group by
        days.customer_key,
        days.customer_id,
        days.first_purchase_on,
        origins.origin_on,
        origins.holdouts_back,
        buyers.buyers
)

select * from final
