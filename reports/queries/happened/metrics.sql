-- Averages keep their cents.
select
    metric,
    case
        when metric like 'average_%' or metric = 'revenue_per_active_customer' then 'price'
        else unit
    end as unit,
    value,
    previous_value,
    change_rate
from marts.executive_summary
order by metric
