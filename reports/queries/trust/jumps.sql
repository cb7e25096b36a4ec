select
    run,
    table_name,
    rows,
    previous_rows
from marts.table_history
where is_last and is_jump
order by table_name
