select
    cluster,
    persona,
    recommended_action,
    favorite_category,
    membership_level,
    customers,
    customer_share,
    net_revenue,
    average_orders,
    average_order_value,
    average_recency_days,
    average_units_per_order,
    weekend_order_share,
    holiday_season_order_share
from marts.personas
order by cluster
