-- Which cohorts come back most often in the months after their first order?
--
-- Read: retention_month_6 is the share of customers with an order in the sixth calendar month after
-- their first; null until that month is over.
-- Beware: cohorts with fewer than thirty customers, or less than three complete months after the
-- first, are left out. A season can make a cohort look loyal. In the first month of the data, all
-- customers count as new, although many may have bought before.

with retention as (
    select * from {{ ref('cohort_retention') }}
    where not is_partial
),

cohorts as (
    select
        cohort_month,
        cohort_customers,
        count_if(months_since between 1 and 3) as early_months,
        sum(case when months_since between 1 and 3 then active_customers else 0 end)
            as early_active_customers,
        max(case when months_since = 1 then retention_rate end) as retention_month_1,
        max(case when months_since = 3 then retention_rate end) as retention_month_3,
        max(case when months_since = 6 then retention_rate end) as retention_month_6,
        max(case when months_since = 12 then retention_rate end) as retention_month_12
    from retention
    group by cohort_month, cohort_customers
),

final as (
    select
        cohort_month,
        cohort_customers,
        {{ share('early_active_customers', '(3 * cohort_customers)') }}
            as average_retention_months_1_to_3,
        retention_month_1,
        retention_month_3,
        retention_month_6,
        retention_month_12
    from cohorts
    where early_months = 3 and cohort_customers >= 30
)

select * from final
order by average_retention_months_1_to_3 desc, cohort_month asc
