select
    cohort_month,
    months_since,
    cohort_customers,
    active_customers,
    retention_rate
from marts.cohort_retention
where not is_partial
order by cohort_month, months_since
