select
    month,
    index,
    times_seen,
    is_used
from ml.seasonal_index
order by month
