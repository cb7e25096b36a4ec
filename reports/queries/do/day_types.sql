select
    day_type,
    orders_per_day,
    orders,
    net_revenue,
    average_order_value
from marts.weekend_vs_weekday
order by day_type
