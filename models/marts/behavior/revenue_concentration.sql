with ranks as (
    select * from {{ ref('int_rfm_ranks') }}
    where metric = 'monetary'
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

-- Rank 1 has the highest revenue. Customers with equal revenue share the ranks from first_rank to
-- last_rank.
revenues as (
    select
        ranks.value as net_cents,
        ranks.customers,
        ranks.compared_customers as all_customers,
        ranks.worse_customers,
        ranks.compared_customers - ranks.worse_customers - ranks.customers as better_customers,
        better_customers + 1 as first_rank,
        better_customers + ranks.customers as last_rank
    from ranks
    inner join as_of on ranks.scored_on = as_of.as_of_date
),

-- Rank r of n is in decile ceil(10 * r / n), so equal revenue can extend over several deciles.
revenues_by_decile as (
    select
        *,
        explode(sequence(
            (10 * first_rank + all_customers - 1) div all_customers,
            (10 * last_rank + all_customers - 1) div all_customers
        )) as decile
    from revenues
),

decile_parts as (
    select
        decile,
        net_cents,
        least(last_rank, decile * all_customers div 10)
        - greatest(first_rank, (decile - 1) * all_customers div 10 + 1)
        + 1 as customers
    from revenues_by_decile
),

decile_sums as (
    select
        decile,
        sum(customers) as customers,
        sum(net_cents * customers) as net_cents
    from decile_parts
    group by decile
),

-- The Gini coefficient 2 * sum(i * x) / (n * sum(x)) - (n + 1) / n, with i counted from the lowest
-- x, as a single division: sum(x * (worse - better)) / (n * sum(x)). Shares and Gini of a loss have
-- no meaning. The products are decimals, because they can exceed bigint.
positive_totals as (
    select
        sum(net_cents * customers) as net_cents,
        max(cast(all_customers as decimal(38, 0))) * sum(net_cents * customers) as gini_divisor,
        sum(
            cast(net_cents * customers as decimal(38, 0)) * (worse_customers - better_customers)
        ) as gini_dividend
    from revenues
    having sum(net_cents * customers) > 0
),

-- Always ten deciles, even if there are fewer customers.
deciles as (
    select explode(sequence(1, 10)) as decile
),

cumulative_deciles as (
    select
        deciles.decile,
        coalesce(decile_sums.customers, 0) as customers,
        coalesce(decile_sums.net_cents, 0) as net_cents,
        sum(coalesce(decile_sums.net_cents, 0)) over (order by deciles.decile) as cumulative_cents
    from deciles
    left join decile_sums on deciles.decile = decile_sums.decile
),

final as (
    select
        cumulative_deciles.decile,
        cumulative_deciles.customers,
        {{ money('cumulative_deciles.net_cents') }} as net_revenue,
        {{ share('cumulative_deciles.net_cents', 'positive_totals.net_cents') }} as revenue_share,
        {{ share('cumulative_deciles.cumulative_cents', 'positive_totals.net_cents') }}
            as cumulative_share,
        {{ share('positive_totals.gini_dividend', 'positive_totals.gini_divisor') }} as gini
    from cumulative_deciles
    left join positive_totals on true
)

select * from final
