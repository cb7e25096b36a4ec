with rfm_by_date as (
    select * from {{ ref('int_customer_rfm_by_date') }}
    where orders > 0
),

-- The higher the value, the better. One order is a frequency score of its own: only repeat buyers
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

distinct_values as (
    select
        scored_on,
        metric,
        value,
        {{ value_stripe('value') }} as stripe,
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
        sum(customers) over (partition by scored_on, metric) as customers
    from stripes
),

-- For each value: how many customers have a lower one, the same one, a higher one.
ranked as (
    select /*+ broadcast(ranked_stripes) */
        distinct_values.scored_on,
        distinct_values.metric,
        distinct_values.value,
        ranked_stripes.customers,
        ranked_stripes.customers_below + sum(distinct_values.customers) over (
            partition by
                distinct_values.scored_on, distinct_values.metric, distinct_values.stripe
            order by distinct_values.value
        ) - distinct_values.customers as lower_customers,
        distinct_values.customers as tied_customers,
        ranked_stripes.customers - lower_customers - tied_customers as higher_customers
    from distinct_values
    -- Null-safe on purpose. With `=` Spark adds a null filter to one side, misses that both sides share
    -- a subplan, and counts the customers twice.
    inner join ranked_stripes
        on
            distinct_values.scored_on is not distinct from ranked_stripes.scored_on
            and distinct_values.metric is not distinct from ranked_stripes.metric
            and distinct_values.stripe is not distinct from ranked_stripes.stripe
),

-- The rules of the docs r_score, f_score and m_score. Whole-number division keeps them exact.
scored as (
    select
        scored_on,
        metric,
        value,
        case
            when metric = 'recency'
                then greatest(1, 5 - (5 * higher_customers) div greatest(1, customers - 1))
            when metric = 'frequency' and customers = 1
                then 4
            when metric = 'frequency'
                then
                    2
                    + least(
                        3,
                        (4 * (2 * lower_customers + tied_customers - 1)) div (2 * (customers - 1))
                    )
            when metric = 'monetary'
                then least(5, 1 + (5 * lower_customers) div greatest(1, customers - 1))
        end as score
    from ranked
),

-- A score that nobody has, since ties may skip one, begins where the next higher one does.
final as (
    select
        scored_on,
        metric,
        min(value) filter (where score >= 2) as lowest_2,
        min(value) filter (where score >= 3) as lowest_3,
        min(value) filter (where score >= 4) as lowest_4,
        min(value) filter (where score >= 5) as lowest_5
    from scored
    group by scored_on, metric
)

select * from final
