with orders as (
    select * from {{ ref('int_orders') }}
    where is_purchase and not is_guest
),

numbered_orders as (
    select
        row_number() over (partition by customer_key order by ordered_at, order_key)
            as order_number,
        datediff(
            lead(ordered_on) over (partition by customer_key order by ordered_at, order_key),
            ordered_on
        ) as days_to_next
    from orders
),

-- `days_to_next` is null for the last order of a customer.
gaps as (
    select
        order_number,
        days_to_next,
        count(*) as customers
    from numbered_orders
    group by order_number, days_to_next
),

order_numbers as (
    select
        order_number,
        sum(customers) as customers,
        sum(case when days_to_next is not null then customers else 0 end) as continued_customers,
        percentile(days_to_next, 0.5, customers) as median_days_to_next
    from gaps
    group by order_number
),

final as (
    select
        order_number,
        customers,
        {{ share('continued_customers', 'customers') }} as continued_share,
        median_days_to_next
    from order_numbers
)

select * from final
