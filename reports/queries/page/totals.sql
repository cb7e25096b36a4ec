select
    count(*) filter (where orders > 0) as buyers,
    min(first_order_on) as first_order_on,
    sum(expected_orders_90d) as expected_orders,
    count(predicted_value_12m) as predicted_customers,
    sum(predicted_value_12m) as predicted_value
from marts.customers
