-- How much does a new customer bring in the first year, and how soon?
--
-- Read: all rows describe the same cohorts: those with twelve complete months after the first
-- month. A campaign has paid off in the month in which cumulative_revenue_per_customer exceeds the
-- campaign's cost per customer.
-- Beware: this is revenue, not margin. New customers today may differ from those of a year ago. The
-- customers of the first month of the data count as new, although many may have bought before.

with retention as (
    select * from {{ ref('cohort_retention') }}
    where not is_partial
),

year_old_cohorts as (
    select cohort_month from retention
    where months_since = 12
),

months as (
    select
        retention.months_since,
        sum(retention.cohort_customers) as customers,
        sum(retention.active_customers) as active_customers,
        sum(retention.net_revenue) as net_revenue
    from retention
    inner join year_old_cohorts on retention.cohort_month = year_old_cohorts.cohort_month
    where retention.months_since <= 12
    group by retention.months_since
),

running_totals as (
    select
        *,
        sum(net_revenue) over (order by months_since) as revenue_so_far,
        sum(net_revenue) over () as revenue_of_the_year
    from months
),

final as (
    select
        months_since,
        customers,
        {{ share('active_customers', 'customers') }} as retention_rate,
        {{ share('net_revenue', 'customers') }} as revenue_per_customer,
        {{ share('revenue_so_far', 'customers') }} as cumulative_revenue_per_customer,
        {{ share('revenue_so_far', 'greatest(revenue_of_the_year, 0)') }} as share_of_the_year
    from running_totals
)

select * from final
order by months_since
