-- Who has been silent for twice their usual time, though the scores do not call it a high risk yet?
--
-- Read: times_late 3 means three times their usual days between orders; the largest revenue first.
-- Beware: who buys in one season looks late in the others; four days with an order make a rhythm.

with customers as (
    select * from {{ ref('customers') }}
),

final as (
    select
        customer_id,
        segment,
        churn_risk,
        net_revenue,
        active_days,
        average_days_between_orders,
        recency_days,
        {{ share('recency_days', 'average_days_between_orders') }} as times_late
    from customers
    where
        churn_risk in ('low', 'medium')
        and active_days >= 4
        and recency_days >= 2 * average_days_between_orders
    order by net_revenue desc, customer_id asc
    limit 100
)

select * from final
order by net_revenue desc, customer_id asc
