with members as (
    select * from {{ ref('int_audience_members') }}
    where audience_type = 'high_value_at_risk'
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
    from members
)

select * from final
