-- An order that has only a date gets the time midnight. Customers did not order at that hour.
select
    weekday,
    hour,
    timed_orders
from marts.purchases_by_weekday_hour
where timed_orders > 0
order by weekday, hour
