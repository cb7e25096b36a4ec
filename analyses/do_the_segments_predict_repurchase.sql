-- Do the segments predict who buys again?
--
-- Read: lift is the repurchase rate against that of all customers; the segments are worth acting on
-- as far as it runs from well above 1 to well below.
-- Beware: one holdout, one season; a segment of a few dozen customers proves nothing.

with validation as (
    select * from {{ ref('segment_validation') }}
    where customers > 0
),

-- The whole number of customers that the rate was made of.
repurchases as (
    select
        *,
        cast(round(repurchase_rate * customers) as bigint) as repurchasing_customers
    from validation
),

everybody as (
    select {{ share('sum(repurchasing_customers)', 'sum(customers)') }} as repurchase_rate
    from repurchases
),

final as (
    select
        repurchases.segment,
        repurchases.customers,
        repurchases.repurchasing_customers,
        repurchases.repurchase_rate,
        {{ share('repurchases.repurchase_rate', 'everybody.repurchase_rate') }} as lift,
        repurchases.orders_per_customer
    from repurchases
    cross join everybody
)

select * from final
order by repurchase_rate desc, segment asc
