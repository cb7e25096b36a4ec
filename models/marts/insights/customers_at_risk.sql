with customers as (
    select * from {{ ref('customers') }}
),

final as (
    select
        customer_id,
        segment,
        persona,
        favorite_category,
        net_revenue,
        recency_days,
        churn_risk,
        value_at_stake
    from customers
    where churn_risk = 'high' and m_score >= 4
)

select * from final
