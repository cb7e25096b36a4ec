-- Who ordered once is not loyal yet, and nobody to win back at any price: today and at any month end.
with customers as (
    select * from {{ ref('customers') }}
),

history as (
    select * from {{ ref('customer_segment_history') }}
),

named as (
    select
        cast(null as date) as month_end,
        customer_id,
        orders,
        segment
    from customers
    union all
    select
        month_end,
        customer_id,
        frequency as orders,
        segment
    from history
),

final as (
    select * from named
    where
        segment in ('Loyal Customers', 'Champions', "Can't Lose Them")
        and (orders > 1) is not true
)

select * from final
