select
    reason,
    rows,
    amount,
    share
from marts.data_quality
where rows > 0
order by reason
