-- Revenue of a month is neither of new nor of returning customers nor of guests, or is more than
-- one of these.
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
