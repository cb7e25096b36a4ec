-- Fails when a month is missing, or when its orders, customers or revenue differ from `int_orders`.
with orders as (
    select * from {{ ref('int_orders') }}
),

monthly_revenue as (
    select * from {{ ref('monthly_revenue') }}
),

-- Stored by customer_key, the orders of a customer are counted without a shuffle.
customer_months as (
    select
        trunc(ordered_on, 'month') as month,
        customer_key,
        is_guest,
        count_if(is_purchase) as orders,
        sum(net_cents) as net_cents
    from orders
    group by trunc(ordered_on, 'month'), customer_key, is_guest
),

expected as (
    select
        month,
        sum(orders) as orders,
        count_if(orders > 0 and not is_guest) as customers,
        {{ money('sum(net_cents)') }} as net_revenue,
        {{ money('sum(case when is_guest then net_cents else 0 end)') }} as guest_revenue
    from customer_months
    group by month
),

-- A month without orders has zeros, not nulls.
final as (
    select
        coalesce(monthly_revenue.month, expected.month) as month,
        monthly_revenue.orders,
        expected.orders as expected_orders,
        monthly_revenue.customers,
        expected.customers as expected_customers,
        monthly_revenue.net_revenue,
        expected.net_revenue as expected_net_revenue,
        monthly_revenue.guest_revenue,
        expected.guest_revenue as expected_guest_revenue
    from monthly_revenue
    full outer join expected on monthly_revenue.month = expected.month
    where
        monthly_revenue.orders is distinct from coalesce(expected.orders, 0)
        or monthly_revenue.customers is distinct from coalesce(expected.customers, 0)
        or monthly_revenue.net_revenue is distinct from coalesce(expected.net_revenue, 0)
        or monthly_revenue.guest_revenue is distinct from coalesce(expected.guest_revenue, 0)
)

select * from final
