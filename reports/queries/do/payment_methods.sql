select
    payment_method,
    orders,
    order_share,
    net_revenue,
    average_order_value
from marts.purchases_by_payment_method
order by orders desc, payment_method asc
limit 50
