select
    loaded_at,
    loaded_on,
    lines,
    rejected_lines,
    first_ordered_on,
    last_ordered_on
from staging.stg_loads
order by loaded_at desc
limit 5
