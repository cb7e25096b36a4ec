-- Fails when the revenue of new customers, returning customers and guests does not add up to that of the
-- month.
with monthly_revenue as (
    select * from {{ ref('monthly_revenue') }}
),

final as (
    select *
    from monthly_revenue
    where
        net_revenue
        is distinct from new_customer_revenue + returning_customer_revenue + guest_revenue
)

select * from final
