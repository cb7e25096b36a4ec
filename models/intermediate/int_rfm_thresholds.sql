with customers as (
    select * from {{ ref('int_customers') }}
    where orders > 0
),

-- Goodness: the larger, the better.
measures as (
    select
        stack(
            3,
            'recency', cast(-recency_days as bigint),
            'frequency', orders,
            'monetary', net_cents
        ) as (metric, goodness)
    from customers
),

distinct_values as (
    select
        metric,
        goodness,
        {{ value_stripe('goodness') }} as stripe,
        count(*) as customers
    from measures
    group by metric, goodness
),

stripes as (
    select
        metric,
        stripe,
        sum(customers) as customers
    from distinct_values
    group by metric, stripe
),

ranked_stripes as (
    select
        metric,
        stripe,
        sum(customers) over (partition by metric order by stripe) - customers as worse_customers,
        sum(customers) over (partition by metric) as scored_customers
    from stripes
),

ranked as (
    select /*+ broadcast(ranked_stripes) */
        distinct_values.metric,
        distinct_values.goodness,
        ranked_stripes.scored_customers,
        ranked_stripes.worse_customers
        - distinct_values.customers
        + sum(distinct_values.customers) over (
            partition by distinct_values.metric, distinct_values.stripe
            order by distinct_values.goodness
        ) as worse_customers
    from distinct_values
    inner join ranked_stripes
        on
            distinct_values.metric = ranked_stripes.metric
            and distinct_values.stripe = ranked_stripes.stripe
),

scored as (
    select
        metric,
        {{ rfm_score('worse_customers', 'scored_customers') }} as score,
        goodness
    from ranked
),

lowest as (
    select
        metric,
        score,
        min(goodness) as goodness
    from scored
    group by metric, score
),

-- A score that nobody has (ties may skip one) is earned where the next higher one is.
earned as (
    select
        metric,
        goodness,
        explode(sequence(1, score)) as score
    from lowest
),

final as (
    select
        metric,
        score,
        min(goodness) as from_goodness
    from earned
    group by metric, score
)

select * from final
