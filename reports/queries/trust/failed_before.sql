-- The list also has tests that pass now, because a rule that fails from time to time deserves a look.
select
    run,
    test,
    status,
    failures,
    cast(started_at as date) as failed_on
from audit.test_results
where status not in ('pass', 'removed')
order by run desc, test asc
limit 10
