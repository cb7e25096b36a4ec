select
    first_on,
    last_on,
    late_lines
from intermediate.int_data_period
