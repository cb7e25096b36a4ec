-- A single customer with ten thousand orders would add ten thousand rows.
select
    order_number,
    customers,
    continued_share,
    median_days_to_next
from marts.repeat_purchase
order by order_number
limit 24
