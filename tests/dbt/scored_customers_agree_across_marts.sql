-- Fails when a mart of the customers with a purchase order has lost some of them or counts some twice.
with scored_customers as (
    select count(*) as customers
    from {{ ref('customer_rfm') }}
),

marts as (
    select
        'cohort_retention' as mart,
        sum(cohort_customers) as customers
    from {{ ref('cohort_retention') }}
    where months_since = 0
    union all
    select
        'monthly_revenue' as mart,
        sum(new_customers) as customers
    from {{ ref('monthly_revenue') }}
    union all
    select
        'repeat_purchase' as mart,
        sum(customers) as customers
    from {{ ref('repeat_purchase') }}
    where order_number = 1
    union all
    select
        'revenue_concentration' as mart,
        sum(customers) as customers
    from {{ ref('revenue_concentration') }}
),

final as (
    select
        marts.mart,
        marts.customers,
        scored_customers.customers as expected_customers
    from marts
    cross join scored_customers
    where coalesce(marts.customers, 0) is distinct from scored_customers.customers
)

select * from final
