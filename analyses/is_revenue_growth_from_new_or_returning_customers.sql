-- Does the growth of revenue against the year before come from new or from returning customers?
--
-- Read: growth is the sum of the three parts; returning customers include those who came last year.
-- Beware: the last month may not be over, and the first month of all may have begun late: both then
-- compare a part of a month with a whole one.

with months as (
    select * from {{ ref('monthly_revenue') }}
),

final as (
    select
        months.month,
        months.net_revenue,
        year_before.net_revenue as net_revenue_year_before,
        cast(months.net_revenue - year_before.net_revenue as decimal(18, 2)) as growth,
        cast(months.new_customer_revenue - year_before.new_customer_revenue as decimal(18, 2))
            as growth_from_new_customers,
        cast(
            months.returning_customer_revenue - year_before.returning_customer_revenue
            as decimal(18, 2)
        ) as growth_from_returning_customers,
        cast(months.guest_revenue - year_before.guest_revenue as decimal(18, 2))
            as growth_from_guests,
        {{ share('months.net_revenue - year_before.net_revenue', 'year_before.net_revenue') }}
            as growth_rate
    from months
    inner join months as year_before on months.month = add_months(year_before.month, 12)
)

select * from final
order by month
