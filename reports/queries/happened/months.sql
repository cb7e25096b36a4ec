select
    month,
    net_revenue,
    returning_customer_revenue,
    new_customer_revenue,
    guest_revenue,
    orders,
    customers,
    new_customers
from marts.monthly_revenue
order by month
