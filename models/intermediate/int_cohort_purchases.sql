with customer_days as (
    select * from {{ ref('int_customer_days') }}
),

-- Days before the first purchase have returns only.
final as (
    select
        first_purchase_on,
        ordered_on,
        count_if(orders > 0) as purchase_days,
        sum(net_cents) as net_cents
    from customer_days
    where ordered_on >= first_purchase_on
    group by first_purchase_on, ordered_on
)

select * from final
