-- Each pair appears once, because lift and support are the same in both directions. Pairs that the page would
-- show with a lift of 1.00 or less are left out: they are not bought together more often than by chance.
select
    antecedent,
    consequent,
    orders_both,
    support,
    lift,
    lowest_category_orders
from marts.category_affinity
where antecedent < consequent and orders_both >= {{ var('minimum_sample') }} and lift >= 1.005
order by lift desc, antecedent asc, consequent asc
limit 50
