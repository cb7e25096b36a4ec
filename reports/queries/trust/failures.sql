select
    test,
    status
from audit.test_results
where status <> 'pass'
order by test
