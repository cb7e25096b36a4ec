-- An order with a date only has the time midnight, which is not an hour at which customers order.
select
    weekday,
    hour,
    timed_orders
from marts.purchases_by_weekday_hour
where timed_orders > 0
order by weekday, hour
