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

model_evaluation as (
    select * from {{ source('ml', 'model_evaluation') }}
),

customer_personas as (
    select /*+ broadcast(personas) */
        clusters.customer_key,
        personas.persona
    from clusters
    inner join personas on clusters.cluster = personas.cluster
),

-- Predictions of another as-of date do not hold for this one.
predictions as (
    select /*+ broadcast(as_of) */ lifetime_values.*
    from {{ source('ml', 'lifetime_value') }} as lifetime_values
    inner join as_of on lifetime_values.as_of_date = as_of.as_of_date
),

-- The lowest churn scores of medium and low risk. They are null if no score is used; churn risk then follows
-- recency.
churn_thresholds as (
    select
        max(value) filter (where audience = 'medium risk') as lowest_medium_score,
        max(value) filter (where audience = 'low risk') as lowest_low_score
    from model_evaluation
    where metric = 'churn_threshold'
),

final as (
    select /*+ broadcast(churn_thresholds, as_of) */
        features.* except (customer_key),
        case
            when predictions.churn_score < churn_thresholds.lowest_medium_score then 'high'
            when predictions.churn_score < churn_thresholds.lowest_low_score then 'medium'
            when predictions.churn_score >= churn_thresholds.lowest_low_score then 'low'
            when features.r_score <= 2 then 'high'
            when features.r_score = 3 then 'medium'
            when features.r_score >= 4 then 'low'
        end as churn_risk,
        customer_personas.persona,
        predictions.p_alive,
        predictions.expected_orders_90d,
        predictions.expected_order_value,
        predictions.predicted_value_12m,
        predictions.expected_next_order_on,
        predictions.is_late,
        case
            when predictions.predicted_value_12m is not null then predictions.predicted_value_12m
            when features.orders > 0
                then {{ yearly_pace(
                    'features.net_revenue', 'datediff(as_of.as_of_date, features.first_order_on)'
                ) }}
        end as value_at_stake
    from features
    -- The PySpark steps may have run before a customer's only order was deleted.
    left join customer_personas
        on features.customer_key = customer_personas.customer_key and features.orders > 0
    left join predictions
        on features.customer_key = predictions.customer_key and features.orders > 0
    cross join churn_thresholds
    cross join as_of
)

select * from final
