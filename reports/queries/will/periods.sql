select
    period,
    starts_on,
    ends_on,
    existing_customer_orders as orders,
    orders_low_80,
    orders_high_80,
    existing_customer_revenue as revenue,
    revenue_low_50,
    revenue_high_50,
    revenue_low_80,
    revenue_high_80
from marts.revenue_forecast
order by starts_on, ends_on
