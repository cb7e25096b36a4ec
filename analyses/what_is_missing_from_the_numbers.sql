-- Which lines of the source are missing from the marts, and what is their amount?
--
-- Read: the lines themselves are in staging.rejected_transactions, except those of after_as_of_date:
-- these are usable, but later than the as-of date.
-- Beware: only visible errors are counted, not a wrong price or a missing day of sales.

with reasons as (
    select * from {{ ref('data_quality') }}
),

final as (
    select
        reason,
        rows as lines,
        share as share_of_all_lines,
        amount
    from reasons
)

select * from final
order by lines desc, reason asc
