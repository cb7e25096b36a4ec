select
    product_category,
    net_revenue,
    revenue_share,
    orders,
    customers,
    return_rate
from marts.purchases_by_category
order by net_revenue desc, product_category asc
limit 50
