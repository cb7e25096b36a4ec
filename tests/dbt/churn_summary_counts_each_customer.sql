-- Fails when a customer with a purchase order has no churn risk, or when a customer without a
-- purchase order has one.
with summary as (
    select sum(customers) as customers
    from {{ ref('churn_summary') }}
),

customers as (
    select
        count(*) as customers,
        count_if(orders = 0) as unscored_customers
    from {{ ref('customers') }}
),

final as (
    select
        summary.customers as customers_with_a_risk,
        customers.unscored_customers,
        customers.customers
    from summary
    cross join customers
    where (summary.customers + customers.unscored_customers = customers.customers) is not true
)

select * from final
