-- Which fifty customers should we call this week to protect the most revenue?
--
-- Read: recency_days far above average_days_between means that the silence is unusual for them. It is the
-- average over the days on which the customer ordered.
-- Beware: value_at_stake is an estimate. Leave out a few customers, chosen at random: only a
-- comparison with them shows whether calls help.

with customers_at_risk as (
    select * from {{ ref('customers_at_risk') }}
),

customers as (
    select
        customer_id,
        {{ share('datediff(last_order_on, first_order_on)', '(active_days - 1)') }}
            as average_days_between
    from {{ ref('customers') }}
),

segments as (
    select * from {{ ref('segment_summary') }}
),

final as (
    select
        customers_at_risk.customer_id,
        customers_at_risk.segment,
        customers_at_risk.persona,
        customers_at_risk.favorite_category,
        customers_at_risk.net_revenue,
        customers_at_risk.value_at_stake,
        customers_at_risk.recency_days,
        customers.average_days_between,
        segments.recommended_action
    from customers_at_risk
    inner join customers on customers_at_risk.customer_id = customers.customer_id
    inner join segments on customers_at_risk.segment = segments.segment
    order by customers_at_risk.value_at_stake desc, customers_at_risk.customer_id asc
    limit 50
)

select * from final
order by value_at_stake desc, customer_id asc
