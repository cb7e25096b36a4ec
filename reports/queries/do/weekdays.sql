select
    weekday,
    sum(orders) as orders,
    sum(net_revenue) as net_revenue
from marts.purchases_by_weekday_hour
group by weekday
order by weekday
