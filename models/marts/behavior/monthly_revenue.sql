with cohort_months as (
    select * from {{ ref('int_cohort_months') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

-- Guests and customers with returns only are in no cohort, so they are never new. Null-safe (`<=>`), so
-- that the result is false, not null.
marked_cohort_months as (
    select
        *,
        month <=> cohort_month as is_first_month
    from cohort_months
),

sales as (
    select
        month,
        sum(orders) as orders,
        sum(customers) as customers,
        sum(case when is_first_month then customers else 0 end) as new_customers,
        sum(net_cents) as net_cents,
        sum(case when is_first_month then net_cents else 0 end) as new_customer_cents,
        sum(case when not is_first_month and not is_guest then net_cents else 0 end)
            as returning_customer_cents,
        sum(case when is_guest then net_cents else 0 end) as guest_cents
    from marked_cohort_months
    group by month
),

period as (
    select
        min(sales.month) as first_month,
        max(trunc(as_of.as_of_date, 'month')) as last_month
    from sales
    cross join as_of
),

months as (
    select explode(sequence(first_month, last_month, interval 1 month)) as month
    from period
),

final as (
    select
        months.month,
        coalesce(sales.orders, 0) as orders,
        coalesce(sales.customers, 0) as customers,
        coalesce(sales.new_customers, 0) as new_customers,
        {{ money('coalesce(sales.net_cents, 0)') }} as net_revenue,
        {{ money('coalesce(sales.new_customer_cents, 0)') }} as new_customer_revenue,
        {{ money('coalesce(sales.returning_customer_cents, 0)') }} as returning_customer_revenue,
        {{ money('coalesce(sales.guest_cents, 0)') }} as guest_revenue,
        {{ average_money('sales.net_cents', 'sales.orders') }} as average_order_value
    from months
    left join sales on months.month = sales.month
)

select * from final
