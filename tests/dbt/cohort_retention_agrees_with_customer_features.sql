-- Fails when a cohort is missing, or when its customers or its total revenue differ from `customer_features`.
with cohort_retention as (
    select * from {{ ref('cohort_retention') }}
),

customers_with_orders as (
    select * from {{ ref('customer_features') }}
    where orders > 0
),

cohorts as (
    select
        cohort_month,
        min(coalesce(cohort_customers, 0)) as fewest_customers,
        max(coalesce(cohort_customers, 0)) as most_customers,
        sum(case when months_since = 0 then active_customers end) as active_customers,
        sum(net_revenue) as net_revenue
    from cohort_retention
    group by cohort_month
),

expected as (
    select
        trunc(first_order_on, 'month') as cohort_month,
        count(*) as customers,
        sum(net_revenue) as net_revenue
    from customers_with_orders
    group by trunc(first_order_on, 'month')
),

final as (
    select
        coalesce(cohorts.cohort_month, expected.cohort_month) as cohort_month,
        cohorts.fewest_customers,
        cohorts.most_customers,
        cohorts.active_customers,
        expected.customers as expected_customers,
        cohorts.net_revenue,
        expected.net_revenue as expected_net_revenue
    from cohorts
    full outer join expected on cohorts.cohort_month = expected.cohort_month
    where
        cohorts.fewest_customers is distinct from expected.customers
        or cohorts.most_customers is distinct from expected.customers
        -- All customers are active in the month of their first purchase order.
        or cohorts.active_customers is distinct from expected.customers
        or cohorts.net_revenue is distinct from expected.net_revenue
)

select * from final
