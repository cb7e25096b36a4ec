with customers as (
    select * from {{ ref('int_customer_holdout') }}
),

purchase_orders as (
    select * from {{ ref('int_orders') }}
    where is_purchase
),

-- Two orders of one day are one purchase, as in the purchase models.
purchase_days as (
    select
        purchase_orders.customer_key,
        purchase_orders.ordered_on,
        (datediff(purchase_orders.ordered_on, customers.holdout_start) - 1) div 7 + 1 as week
    from purchase_orders
    inner join customers on purchase_orders.customer_key = customers.customer_key
    where purchase_orders.ordered_on > customers.holdout_start
    group by purchase_orders.customer_key, purchase_orders.ordered_on, customers.holdout_start
),

final as (
    select
        week,
        count(*) as purchase_days
    from purchase_days
    group by week
)

select * from final
