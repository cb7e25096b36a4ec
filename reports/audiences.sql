-- Who is meant by the audience of each recommendation: a row per customer and audience. Guests are nobody
-- that a list could name.
with customers as (
    select * from marts.customers
),

recommendations as (
    select * from marts.recommendations
),

members as (
    select
        *,
        explode(array_compact(array(
            segment,
            if(churn_risk = 'high' and m_score >= 4, 'High-value customers at high risk', null),
            if(recency_days div {{ var('window_days') }} = 1, 'Recently lapsed customers', null)
        ))) as audience
    from customers
),

category_buyers as (
    select
        customers.*,
        concat('Buyers of ', categories.product_category) as audience
    from intermediate.int_customer_categories as categories
    inner join marts.customer_features as features on categories.customer_key = features.customer_key
    inner join customers on features.customer_id = customers.customer_id
    where categories.orders > 0
),

all_members as (
    select * from members
    union all
    select * from category_buyers
)

select /*+ broadcast(recommendations) */
    recommendations.priority,
    all_members.customer_id,
    concat_ws(
        ', ',
        all_members.audience,
        concat(all_members.orders, if(all_members.orders = 1, ' order', ' orders')),
        concat(
            'last order ',
            all_members.recency_days,
            if(all_members.recency_days = 1, ' day', ' days'),
            ' ago'
        ),
        concat('churn risk ', all_members.churn_risk)
    ) as reason,
    all_members.net_revenue,
    all_members.value_at_stake
from all_members
inner join recommendations on all_members.audience = recommendations.audience
