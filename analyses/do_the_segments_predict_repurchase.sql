-- Do the segments predict who buys again?
--
-- Read: lift is the repurchase rate divided by that of all customers. The wider the range of lift, from
-- well above 1 to well below 1, the better the segments predict.
-- Beware: this is one holdout in one season; a segment of a few dozen customers proves nothing.

with validation as (
    select * from {{ ref('segment_validation') }}
    where customers > 0
),

-- The mart has only the rate. Rate times customers, rounded, is the exact number of customers who came back.
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
