select
    decile,
    customers,
    net_revenue,
    revenue_share,
    cumulative_share,
    gini
from marts.revenue_concentration
order by decile
