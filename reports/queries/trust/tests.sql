select
    status,
    count(*) as tests
from audit.test_results
group by status
order by status
