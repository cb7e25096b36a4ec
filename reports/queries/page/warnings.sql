select
    finding,
    advice
from marts.data_warnings
order by display_order
