with rfm_by_date as (
    select * from {{ ref('int_customer_rfm_by_date') }}
    where orders > 0
),

-- Higher values are better. Customers with one order all have the frequency score 1, so only repeat
-- buyers are compared by their orders.
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

-- There can be as many distinct amounts as customers, so values are ranked in two steps: first bins
-- about one percent wide, then the values within each bin, in parallel. No task handles all values.
distinct_values as (
    select
        scored_on,
        metric,
        value,
        cast(sign(value) * floor(100 * ln(1 + abs(value))) as bigint) as bin_number,
        -- Not `count(*)`: Spark would replace its sum in `bins` by a count of the rows of `measures`.
        -- Then `bins` could not reuse this aggregate, and Spark would aggregate the customers twice.
        count(value) as customers
    from measures
    where value is not null
    group by scored_on, metric, value
),

bins as (
    select
        scored_on,
        metric,
        bin_number,
        sum(customers) as customers
    from distinct_values
    group by scored_on, metric, bin_number
),

ranked_bins as (
    select
        scored_on,
        metric,
        bin_number,
        sum(customers) over (partition by scored_on, metric order by bin_number) - customers
            as customers_below,
        sum(customers) over (partition by scored_on, metric) as compared_customers
    from bins
),

final as (
    select /*+ broadcast(ranked_bins) */
        distinct_values.scored_on,
        distinct_values.metric,
        distinct_values.value,
        distinct_values.customers,
        ranked_bins.customers_below + sum(distinct_values.customers) over (
            -- bin_number comes first: it has the most distinct values, so the sort seldom needs the others.
            partition by
                distinct_values.bin_number, distinct_values.metric, distinct_values.scored_on
            order by distinct_values.value
        ) - distinct_values.customers as worse_customers,
        ranked_bins.compared_customers
    from distinct_values
    -- Null-safe on purpose. With `=` Spark adds a null filter to one side, misses that both sides share
    -- a subplan, and aggregates the customers twice.
    inner join ranked_bins
        on
            distinct_values.scored_on is not distinct from ranked_bins.scored_on
            and distinct_values.metric is not distinct from ranked_bins.metric
            and distinct_values.bin_number is not distinct from ranked_bins.bin_number
)

select * from final
