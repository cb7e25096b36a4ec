with cohort_months as (
    select * from {{ ref('int_cohort_months') }}
    where cohort_month is not null
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

-- All customers of a cohort ordered in its first month.
cohorts as (
    select
        cohort_month,
        customers
    from cohort_months
    where month = cohort_month
),

activity as (
    select
        cohort_month,
        -- Returns before the first purchase count in month 0, so that no revenue is lost.
        greatest(cast(months_between(month, cohort_month) as int), 0) as months_since,
        sum(customers) as customers,
        sum(net_cents) as net_cents
    from cohort_months
    group by cohort_month, greatest(cast(months_between(month, cohort_month) as int), 0)
),

-- Every month of every cohort, also months without an active customer.
calendar as (
    select
        cohorts.cohort_month,
        cohorts.customers,
        as_of.as_of_date,
        explode(sequence(
            0, cast(months_between(trunc(as_of.as_of_date, 'month'), cohorts.cohort_month) as int)
        )) as months_since
    from cohorts
    cross join as_of
),

retention as (
    select
        calendar.cohort_month,
        calendar.months_since,
        calendar.customers as cohort_customers,
        coalesce(activity.customers, 0) as active_customers,
        coalesce(activity.net_cents, 0) as net_cents,
        last_day(add_months(calendar.cohort_month, calendar.months_since)) > calendar.as_of_date
            as is_partial
    from calendar
    left join activity
        on
            calendar.cohort_month = activity.cohort_month
            and calendar.months_since = activity.months_since
),

cumulated as (
    select
        *,
        sum(net_cents) over (partition by cohort_month order by months_since)
            as cumulative_cents
    from retention
),

final as (
    select
        cohort_month,
        months_since,
        cohort_customers,
        active_customers,
        {{ share('active_customers', 'cohort_customers') }} as retention_rate,
        {{ money('net_cents') }} as net_revenue,
        {{ average_money('cumulative_cents', 'cohort_customers') }}
            as cumulative_revenue_per_customer,
        is_partial
    from cumulated
)

select * from final
