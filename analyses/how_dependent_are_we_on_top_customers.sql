-- How much of the revenue depends on the best tenth of the customers?
--
-- Read: decile 1 is the best tenth. gini is 0 when all customers bring the same, near 1 when one brings
-- everything.
-- Beware: revenue is of all time and without guests. Customers who returned more than they bought have
-- negative revenue.

with deciles as (
    select * from {{ ref('revenue_concentration') }}
),

final as (
    select
        decile,
        customers,
        net_revenue,
        {{ share('net_revenue', 'customers') }} as revenue_per_customer,
        revenue_share,
        cumulative_share,
        gini
    from deciles
)

select * from final
order by decile
