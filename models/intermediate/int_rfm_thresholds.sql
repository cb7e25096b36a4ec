with snapshots as (
    select * from {{ ref('int_customer_snapshots') }}
    where orders > 0
),

-- Goodness: the larger, the better.
measures as (
    select
        snapshot_on,
        stack(
            3,
            'recency', cast(-recency_days as bigint),
            'frequency', orders,
            'monetary', net_cents
        ) as (metric, goodness)
    from snapshots
),

distinct_values as (
    select
        snapshot_on,
        metric,
        goodness,
        {{ value_stripe('goodness') }} as stripe,
        count(*) as customers
    from measures
    group by snapshot_on, metric, goodness
),

stripes as (
    select
        snapshot_on,
        metric,
        stripe,
        sum(customers) as customers
    from distinct_values
    group by snapshot_on, metric, stripe
),

ranked_stripes as (
    select
        snapshot_on,
        metric,
        stripe,
        sum(customers) over (partition by snapshot_on, metric order by stripe) - customers
            as worse_customers,
        sum(customers) over (partition by snapshot_on, metric) as scored_customers
    from stripes
),

ranked as (
    select /*+ broadcast(ranked_stripes) */
        distinct_values.snapshot_on,
        distinct_values.metric,
        distinct_values.goodness,
        ranked_stripes.scored_customers,
        ranked_stripes.worse_customers
        - distinct_values.customers
        + sum(distinct_values.customers) over (
            partition by
                distinct_values.snapshot_on, distinct_values.metric, distinct_values.stripe
            order by distinct_values.goodness
        ) as worse_customers
    from distinct_values
    -- Nothing here is null, but for `=` Spark filters one side for that, and then no longer sees that
    -- both sides begin with the same rows, and counts the customers twice.
    inner join ranked_stripes
        on
            distinct_values.snapshot_on is not distinct from ranked_stripes.snapshot_on
            and distinct_values.metric is not distinct from ranked_stripes.metric
            and distinct_values.stripe is not distinct from ranked_stripes.stripe
),

scored as (
    select
        snapshot_on,
        metric,
        {{ rfm_score('worse_customers', 'scored_customers') }} as score,
        goodness
    from ranked
),

lowest as (
    select
        snapshot_on,
        metric,
        score,
        min(goodness) as goodness
    from scored
    group by snapshot_on, metric, score
),

-- A score that nobody has (ties may skip one) is earned where the next higher one is.
earned as (
    select
        snapshot_on,
        metric,
        goodness,
        explode(sequence(1, score)) as score
    from lowest
),

final as (
    select
        snapshot_on,
        metric,
        score,
        min(goodness) as from_goodness
    from earned
    group by snapshot_on, metric, score
)

select * from final
