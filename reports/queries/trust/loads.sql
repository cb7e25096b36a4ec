select
    loaded_at,
    loaded_on,
    lines,
    rejected_lines
from staging.stg_loads
order by loaded_at desc
limit 5
