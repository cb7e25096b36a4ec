select
    sum(orders) as orders,
    sum(timed_orders) as timed_orders,
    sum(orders - timed_orders) as untimed_orders
from marts.purchases_by_weekday_hour
