-- Which lines of the source are in no mart, and how much money do they hold?
--
-- Read: the lines themselves, each with its reason, are in staging.rejected_transactions; those of
-- after_as_of_date are good lines that are too late for the as-of date.
-- Beware: it counts what is visibly wrong; a wrong price or a missing day of sales is not.

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
