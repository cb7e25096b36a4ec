-- Fails when a decile is missing or does not hold a tenth of the customers, or when the total revenue
-- differs from that of all scored customers.
with revenue_concentration as (
    select * from {{ ref('revenue_concentration') }}
),

scored_customers as (
    select
        count(*) as customers,
        coalesce(sum(monetary), 0) as net_revenue
    from {{ ref('customer_rfm') }}
),

expected as (
    select
        explode(sequence(1, 10)) as decile,
        customers,
        net_revenue
    from scored_customers
),

totals as (
    select sum(net_revenue) as net_revenue
    from revenue_concentration
),

final as (
    select
        coalesce(revenue_concentration.decile, expected.decile) as decile,
        revenue_concentration.customers,
        expected.customers as all_customers,
        totals.net_revenue as total_net_revenue,
        expected.net_revenue as expected_total_net_revenue
    from revenue_concentration
    full outer join expected on revenue_concentration.decile = expected.decile
    cross join totals
    where
        revenue_concentration.customers is distinct from
        (expected.decile * expected.customers div 10)
        - ((expected.decile - 1) * expected.customers div 10)
        or totals.net_revenue is distinct from expected.net_revenue
)

select * from final
