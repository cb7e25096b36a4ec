-- Fails when an order number is missing, when its customers differ from those with at least this number
-- of orders, or when the share that continued does not lead to the customers of the next order number.
with repeat_purchase as (
    select * from {{ ref('repeat_purchase') }}
),

customers as (
    select * from {{ ref('customer_rfm') }}
),

frequencies as (
    select
        frequency,
        count(*) as customers
    from customers
    group by frequency
),

order_numbers as (
    select
        explode(sequence(1, frequency)) as order_number,
        customers
    from frequencies
),

expected as (
    select
        order_number,
        sum(customers) as customers,
        coalesce(lead(sum(customers)) over (order by order_number), 0) as continued_customers
    from order_numbers
    group by order_number
),

final as (
    select
        coalesce(repeat_purchase.order_number, expected.order_number) as order_number,
        repeat_purchase.customers,
        expected.customers as expected_customers,
        repeat_purchase.continued_share,
        expected.continued_customers as expected_continued_customers
    from repeat_purchase
    full outer join expected on repeat_purchase.order_number = expected.order_number
    where
        repeat_purchase.customers is distinct from expected.customers
        or cast(round(repeat_purchase.continued_share * repeat_purchase.customers) as bigint)
        is distinct from expected.continued_customers
)

select * from final
