select
    test,
    status
from marts.data_test_results
where status <> 'pass'
order by test
