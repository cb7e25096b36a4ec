with customers as (
    select * from {{ ref('customers') }}
),

customer_categories as (
    select * from {{ ref('int_customer_categories') }}
    where not is_guest and orders > 0
),

memberships as (
    select
        'segment' as audience_type,
        segment as subject,
        *
    from customers
    union all
    select
        'high_value_at_risk' as audience_type,
        cast(null as string) as subject,
        *
    from customers
    where churn_risk = 'high' and m_score >= 4
    union all
    -- Active in the window before the last one, and not since.
    select
        'recently_lapsed' as audience_type,
        cast(null as string) as subject,
        *
    from customers
    where recency_days div {{ var('window_days') }} = 1
    union all
    -- Late customers with a high risk are left out: other audiences have them, or they are probably gone.
    select
        'late' as audience_type,
        cast(null as string) as subject,
        *
    from customers
    where is_late and churn_risk <> 'high'
    union all
    select
        'category_buyers' as audience_type,
        customer_categories.product_category as subject,
        customers.*
    from customers
    inner join customer_categories
        on {{ customer_key('customers.customer_id') }} = customer_categories.customer_key
),

final as (
    select
        audience_type,
        subject,
        customer_id,
        segment,
        persona,
        favorite_category,
        orders,
        recency_days,
        churn_risk,
        net_revenue,
        value_at_stake
    from memberships
)

select * from final
