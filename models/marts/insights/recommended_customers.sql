{{ config(materialized='view', persist_docs={'relation': true, 'columns': true}) }}

with customers as (
    select * from {{ ref('customers') }}
),

customers_at_risk as (
    select * from {{ ref('customers_at_risk') }}
),

customer_features as (
    select * from {{ ref('customer_features') }}
),

customer_categories as (
    select * from {{ ref('int_customer_categories') }}
),

recommendations as (
    select * from {{ ref('recommendations') }}
),

-- The audiences as recommendations defines them. Guests are nobody whom a list could name.
members as (
    select
        customer_id,
        segment as audience
    from customers
    union all
    select
        customer_id,
        'High-value customers at high risk' as audience
    from customers_at_risk
    union all
    select
        customer_id,
        'Recently lapsed customers' as audience
    from customers
    where recency_days div {{ var('window_days') }} = 1
    union all
    select
        features.customer_id,
        concat('Buyers of ', categories.product_category) as audience
    from customer_categories as categories
    inner join customer_features as features on categories.customer_key = features.customer_key
    where categories.orders > 0
),

final as (
    select
        recommendations.priority,
        recommendations.audience,
        customers.customer_id,
        concat_ws(
            ', ',
            recommendations.audience,
            {{ counted('customers.orders', 'order') }},
            concat('last order ', {{ counted('customers.recency_days', 'day') }}, ' ago'),
            concat('churn risk ', customers.churn_risk)
        ) as reason,
        customers.net_revenue,
        customers.value_at_stake
    from members
    inner join recommendations on members.audience = recommendations.audience
    inner join customers on members.customer_id = customers.customer_id
)

select * from final
