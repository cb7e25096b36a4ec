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

-- Predictions of another as-of date say nothing of this one.
lifetime_values as (
    select /*+ broadcast(as_of) */ lifetime_values.*
    from {{ source('ml', 'lifetime_value') }} as lifetime_values
    inner join as_of on lifetime_values.as_of_date = as_of.as_of_date
),

-- The scores from which on the risk is medium and low; null where recency alone decides.
churn_thresholds as (
    select
        max(value) filter (where audience = 'medium risk') as medium_from,
        max(value) filter (where audience = 'low risk') as low_from
    from {{ source('ml', 'model_evaluation') }}
    where metric = 'churn_threshold'
),

predictions as (
    select /*+ broadcast(churn_thresholds) */
        features.*,
        case
            when lifetime_values.churn_score < churn_thresholds.medium_from then 'high'
            when lifetime_values.churn_score < churn_thresholds.low_from then 'medium'
            when lifetime_values.churn_score >= churn_thresholds.low_from then 'low'
            when features.r_score <= 2 then 'high'
            when features.r_score = 3 then 'medium'
            when features.r_score >= 4 then 'low'
        end as churn_risk,
        customer_personas.persona,
        lifetime_values.p_alive,
        lifetime_values.expected_orders_90d,
        lifetime_values.expected_order_value,
        lifetime_values.predicted_value_12m
    from features
    left join customer_personas on features.customer_key = customer_personas.customer_key
    left join lifetime_values on features.customer_key = lifetime_values.customer_key
    cross join churn_thresholds
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
