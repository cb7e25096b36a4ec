select
    month_end,
    from_segment,
    to_segment,
    customers,
    net_revenue
from marts.segment_migration
order by month_end desc, customers desc, from_segment asc, to_segment asc
