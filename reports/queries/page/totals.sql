select
    count(*) filter (where orders > 0) as buyers,
    count(p_alive) as predicted_customers,
    min(first_order_on) as first_order_on,
    count(*) filter (where is_late and churn_risk <> 'high') as late_customers
from marts.customers
