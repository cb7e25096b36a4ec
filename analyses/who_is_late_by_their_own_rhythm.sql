-- Which customers have not ordered for twice their usual time, although their churn risk is not high yet?
--
-- Read: times_late 3 means three times the usual days between their orders; highest revenue first.
-- Beware: customers who buy in one season look late in the others. Only customers with orders on at
-- least four days are included.

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
