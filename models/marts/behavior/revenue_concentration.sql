with customers as (
    select * from {{ ref('int_customers') }}
    where orders > 0
),

distinct_values as (
    select
        net_cents,
        {{ value_stripe('net_cents') }} as stripe,
        count(*) as customers
    from customers
    group by net_cents
),

stripes as (
    select
        stripe,
        sum(customers) as customers
    from distinct_values
    group by stripe
),

ranked_stripes as (
    select
        stripe,
        sum(customers) over (order by stripe desc) - customers as higher_customers,
        sum(customers) over () as scored_customers
    from stripes
),

cumulated as (
    select /*+ broadcast(ranked_stripes) */
        distinct_values.net_cents,
        distinct_values.customers,
        ranked_stripes.scored_customers,
        ranked_stripes.higher_customers
        + sum(distinct_values.customers) over (
            partition by distinct_values.stripe
            order by distinct_values.net_cents desc
        ) as last_rank
    from distinct_values
    inner join ranked_stripes on distinct_values.stripe = ranked_stripes.stripe
),

-- Rank 1 has the highest revenue; the customers of one value fill the ranks from first to last.
ranked as (
    select
        *,
        last_rank - customers + 1 as first_rank
    from cumulated
),

-- Rank r of n is in decile ceil(10 * r / n); a value may stretch over several.
spread as (
    select
        *,
        explode(sequence(
            (10 * first_rank + scored_customers - 1) div scored_customers,
            (10 * last_rank + scored_customers - 1) div scored_customers
        )) as decile
    from ranked
),

decile_parts as (
    select
        decile,
        net_cents,
        least(last_rank, decile * scored_customers div 10)
        - greatest(first_rank, (decile - 1) * scored_customers div 10 + 1)
        + 1 as customers
    from spread
),

decile_sums as (
    select
        decile,
        sum(customers) as customers,
        sum(net_cents * customers) as net_cents
    from decile_parts
    group by decile
),

-- The Gini coefficient 2 * sum(i * x) / (n * sum(x)) - (n + 1) / n, i from the lowest x, in one
-- division: sum(x * (customers below - customers above)) / (n * sum(x)). Customers of equal value
-- are neither below nor above each other. With many customers the products outgrow bigint.
totals as (
    select
        sum(net_cents * customers) as net_cents,
        max(cast(scored_customers as decimal(38, 0))) * sum(net_cents * customers) as gini_whole,
        sum(
            cast(net_cents * customers as decimal(38, 0))
            * ((scored_customers - last_rank) - (first_rank - 1))
        ) as gini_part
    from ranked
),

deciles as (
    select explode(sequence(1, 10)) as decile
),

cumulated_deciles as (
    select
        deciles.decile,
        coalesce(decile_sums.customers, 0) as customers,
        coalesce(decile_sums.net_cents, 0) as net_cents,
        sum(coalesce(decile_sums.net_cents, 0)) over (order by deciles.decile) as cumulative_cents
    from deciles
    left join decile_sums on deciles.decile = decile_sums.decile
),

-- Shares of nothing, or of a loss, say nothing.
positive_totals as (
    select * from totals
    where net_cents > 0
),

final as (
    select
        cumulated_deciles.decile,
        cumulated_deciles.customers,
        {{ money('cumulated_deciles.net_cents') }} as net_revenue,
        {{ share('cumulated_deciles.net_cents', 'positive_totals.net_cents') }} as revenue_share,
        {{ share('cumulated_deciles.cumulative_cents', 'positive_totals.net_cents') }}
            as cumulative_share,
        {{ share('positive_totals.gini_part', 'positive_totals.gini_whole') }} as gini
    from cumulated_deciles
    left join positive_totals on true
)

select * from final
