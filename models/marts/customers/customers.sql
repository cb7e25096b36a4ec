with features as (
    select * from {{ ref('customer_features') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

clusters as (
    select * from {{ source('ml', 'customer_clusters') }}
),

personas as (
    select * from {{ ref('personas') }}
),

customer_personas as (
    select /*+ broadcast(personas) */
        clusters.customer_key,
        personas.persona
    from clusters
    inner join personas on clusters.cluster = personas.cluster
),

predictions as (
    select
        features.*,
        case
            when features.r_score <= 2 then 'high'
            when features.r_score = 3 then 'medium'
            when features.r_score >= 4 then 'low'
        end as churn_risk,
        customer_personas.persona,
        -- Not known until the lifetime value step has run.
        cast(null as double) as expected_orders_90d,
        cast(null as decimal(18, 2)) as predicted_value_12m
    from features
    left join customer_personas on features.customer_key = customer_personas.customer_key
),

final as (
    select /*+ broadcast(as_of) */
        predictions.* except (customer_key),
        case
            when predictions.predicted_value_12m is not null then predictions.predicted_value_12m
            when predictions.orders > 0
                then {{ yearly_pace(
                    'predictions.net_revenue',
                    'datediff(as_of.as_of_date, predictions.first_order_on)'
                ) }}
        end as value_at_stake
    from predictions
    cross join as_of
)

select * from final
