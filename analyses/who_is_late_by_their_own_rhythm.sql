-- Which customers are late by their own rhythm, although their churn risk is not high yet?
--
-- Read: four in five active customers with the same rhythm would have ordered again by now. times_late is
-- recency_days divided by the average days between the days on which the customer ordered; null with one.
-- The list has at most 100 customers, those with the highest revenue first.
-- Beware: expected_next_order_on is null if it is likelier that the customer never orders again. Without
-- a purchase model it is always null, and late means a times_late of 2 or more, for customers with orders
-- on at least four days. Customers who buy in one season then look late in the others.

with customers as (
    select
        *,
        {{ share('datediff(last_order_on, first_order_on)', '(active_days - 1)') }}
            as average_days_between
    from {{ ref('customers') }}
),

final as (
    select
        customer_id,
        segment,
        churn_risk,
        net_revenue,
        active_days,
        average_days_between,
        expected_next_order_on,
        recency_days,
        {{ share('recency_days', 'average_days_between') }} as times_late
    from customers
    where
        churn_risk in ('low', 'medium')
        and coalesce(is_late, active_days >= 4 and recency_days >= 2 * average_days_between)
    order by net_revenue desc, customer_id asc
    limit 100
)

select * from final
order by net_revenue desc, customer_id asc
