{{ config(materialized='view', persist_docs={'relation': true, 'columns': true}) }}

with audiences as (
    select * from {{ ref('int_audiences') }}
),

members as (
    select * from {{ ref('int_audience_members') }}
),

recommendations as (
    select * from {{ ref('recommendations') }}
),

final as (
    select
        recommendations.priority,
        recommendations.audience,
        members.customer_id,
        concat_ws(
            ', ',
            recommendations.audience,
            {{ counted('members.orders', 'order') }},
            concat('last order ', {{ counted('members.recency_days', 'day') }}, ' ago'),
            concat('churn risk ', members.churn_risk)
        ) as reason,
        members.net_revenue,
        members.value_at_stake
    from recommendations
    inner join audiences on recommendations.audience = audiences.audience
    inner join members
        on
            audiences.audience_type = members.audience_type
            and audiences.subject is not distinct from members.subject
)

select * from final
