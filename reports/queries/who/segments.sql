select
    segment,
    customers,
    customers_gained,
    customer_share,
    net_revenue,
    revenue_share,
    average_orders,
    average_order_value,
    average_recency_days
from marts.segment_summary
where customers > 0
order by segment
