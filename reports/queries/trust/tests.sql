select
    status,
    count(*) as tests
from marts.data_test_results
group by status
order by status
