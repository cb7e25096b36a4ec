with rfm_by_date as (
    select * from {{ ref('int_customer_rfm_by_date') }}
    where orders > 0
),

-- The higher a value, the better. One order has a frequency score of its own, so only repeat buyers
-- are compared by their orders.
measures as (
    select
        scored_on,
        stack(
            3,
            'recency', cast(-recency_days as bigint),
            'frequency', case when orders >= 2 then orders end,
            'monetary', net_cents
        ) as (metric, value)
    from rfm_by_date
),

-- There can be as many distinct amounts as customers. Values are ranked in stripes about one percent
-- wide: first the stripes, then in parallel the values within each. No task handles all values.
distinct_values as (
    select
        scored_on,
        metric,
        value,
        cast(sign(value) * floor(100 * ln(1 + abs(value))) as bigint) as stripe,
        count(*) as customers
    from measures
    where value is not null
    group by scored_on, metric, value
),

stripes as (
    select
        scored_on,
        metric,
        stripe,
        sum(customers) as customers
    from distinct_values
    group by scored_on, metric, stripe
),

ranked_stripes as (
    select
        scored_on,
        metric,
        stripe,
        sum(customers) over (partition by scored_on, metric order by stripe) - customers
            as customers_below,
        sum(customers) over (partition by scored_on, metric) as compared_customers
    from stripes
),

final as (
    select /*+ broadcast(ranked_stripes) */
        distinct_values.scored_on,
        distinct_values.metric,
        distinct_values.value,
        distinct_values.customers,
        ranked_stripes.customers_below + sum(distinct_values.customers) over (
            partition by
                distinct_values.scored_on, distinct_values.metric, distinct_values.stripe
            order by distinct_values.value
        ) - distinct_values.customers as worse_customers,
        ranked_stripes.compared_customers
    from distinct_values
    -- Null-safe on purpose. With `=` Spark adds a null filter to one side, misses that both sides share
    -- a subplan, and aggregates the customers twice.
    inner join ranked_stripes
        on
            distinct_values.scored_on is not distinct from ranked_stripes.scored_on
            and distinct_values.metric is not distinct from ranked_stripes.metric
            and distinct_values.stripe is not distinct from ranked_stripes.stripe
)

select * from final
