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
        -- Stripes of values about one percent wide cut the distinct amounts, of which there may be as
        -- many as customers, into parts that are ranked side by side: no task sees all customers.
        cast(sign(goodness) * floor(100 * ln(1 + abs(goodness))) as bigint) as stripe,
        count(*) as customers
    from measures
    group by metric, goodness
),

stripes as (
    select
        metric,
        stripe,
        sum(sum(customers)) over (partition by metric order by stripe) - sum(customers)
            as worse_customers,
        sum(sum(customers)) over (partition by metric) as scored_customers
    from distinct_values
    group by metric, stripe
),

ranked as (
    select /*+ broadcast(stripes) */
        distinct_values.metric,
        distinct_values.goodness,
        stripes.scored_customers,
        stripes.worse_customers
        + sum(distinct_values.customers) over (
            partition by distinct_values.metric, distinct_values.stripe
            order by distinct_values.goodness
        )
        - distinct_values.customers as worse_customers
    from distinct_values
    inner join stripes
        on
            distinct_values.metric = stripes.metric
            and distinct_values.stripe = stripes.stripe
),

scored as (
    select
        metric,
        {{ rfm_score('worse_customers', 'scored_customers') }} as score,
        min(goodness) as lowest_goodness
    from ranked
    group by all
),

-- A score that nobody has (ties may skip one) is earned where the next higher one is.
final as (
    select
        metric,
        score,
        min(lowest_goodness) as from_goodness
    from (
        select
            metric,
            lowest_goodness,
            explode(sequence(1, score)) as score
        from scored
    )
    group by metric, score
)

select * from final
