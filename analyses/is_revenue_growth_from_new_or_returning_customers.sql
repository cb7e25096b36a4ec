-- Does the growth of revenue over the year before come from new or from returning customers?
--
-- Read: growth is the sum of three parts: new customers, returning customers and guests.
-- Beware: the last month may not be over, and the data may begin within the first month. Then a part of
-- a month is compared with a full month.

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
        {{ share('months.net_revenue - year_before.net_revenue', 'abs(year_before.net_revenue)') }}
            as growth_rate
    from months
    inner join months as year_before on months.month = add_months(year_before.month, 12)
)

select * from final
order by month
