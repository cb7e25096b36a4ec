with features as (
    select * from {{ ref('customer_features') }}
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

final as (
    select
        features.* except (customer_key),
        -- Not known until the lifetime value step has run.
        cast(null as string) as churn_risk,
        customer_personas.persona,
        cast(null as double) as expected_orders_90d,
        cast(null as decimal(18, 2)) as predicted_value_12m
    from features
    left join customer_personas on features.customer_key = customer_personas.customer_key
)

select * from final
