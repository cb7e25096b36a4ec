-- Fails when the active customers of all cohorts in a calendar month differ from the customers of that
-- month, or when the cohort of a month differs from its new customers.
with cohort_retention as (
    select * from {{ ref('cohort_retention') }}
),

monthly_revenue as (
    select * from {{ ref('monthly_revenue') }}
),

cohort_months as (
    select
        add_months(cohort_month, months_since) as month,
        sum(active_customers) as customers,
        sum(case when months_since = 0 then cohort_customers else 0 end) as new_customers
    from cohort_retention
    group by add_months(cohort_month, months_since)
),

-- Months before the first cohort have only guests and returns, so they have 0 customers, not null.
final as (
    select
        coalesce(monthly_revenue.month, cohort_months.month) as month,
        monthly_revenue.customers,
        cohort_months.customers as expected_customers,
        monthly_revenue.new_customers,
        cohort_months.new_customers as expected_new_customers
    from monthly_revenue
    full outer join cohort_months on monthly_revenue.month = cohort_months.month
    where
        monthly_revenue.customers is distinct from coalesce(cohort_months.customers, 0)
        or monthly_revenue.new_customers is distinct from coalesce(cohort_months.new_customers, 0)
)

select * from final
