-- How many new customers come back, how fast, and after which order do they stay?
--
-- Read: of the customers with at least this many orders, continued_share placed another one, and half
-- of those did so within median_days_to_next days. Where continued_share stops rising, buying has
-- become a habit.
-- Beware: recent customers had little time to come back, so continued_share and median_days_to_next
-- will still rise.

with repeat_purchase as (
    select * from {{ ref('repeat_purchase') }}
),

final as (
    select
        order_number,
        customers,
        {{ share('customers', 'max(customers) over ()') }} as share_of_all_buyers,
        continued_share,
        median_days_to_next
    from repeat_purchase
    where order_number <= 10
)

select * from final
order by order_number
