select
    priority,
    audience,
    finding,
    action,
    customers,
    value_at_stake
from marts.recommendations
order by priority
