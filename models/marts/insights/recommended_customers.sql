with audiences as (
    select * from {{ ref('int_audiences') }}
),

members as (
    select * from {{ ref('int_audience_members') }}
),

recommendations as (
    select * from {{ ref('recommendations') }}
),

-- The text is added after the sort, so that the sort moves narrower rows.
listed as (
    select /*+ broadcast(audiences), broadcast(recommendations) */
        recommendations.priority,
        row_number() over (
            partition by recommendations.priority
            order by members.value_at_stake desc, members.customer_id asc
        ) as place,
        recommendations.audience,
        members.customer_id,
        members.orders,
        members.recency_days,
        members.churn_risk,
        members.net_revenue,
        members.value_at_stake
    from members
    inner join audiences
        on
            members.audience_type = audiences.audience_type
            and members.subject is not distinct from audiences.subject
    inner join recommendations on audiences.audience = recommendations.audience
),

final as (
    select
        priority,
        place,
        audience,
        customer_id,
        concat_ws(
            ', ',
            audience,
            {{ counted('orders', 'order') }},
            concat('last order ', {{ counted('recency_days', 'day') }}, ' ago'),
            concat('churn risk ', churn_risk)
        ) as reason,
        net_revenue,
        value_at_stake
    from listed
)

select * from final
