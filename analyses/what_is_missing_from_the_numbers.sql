-- Which lines of the source are missing from the marts, and what is their amount?
--
-- Read: staging.rejected_transactions has the lines themselves, except those of after_as_of_date.
-- Beware: not every reason is an error. Superseded and deleted lines are left out on purpose. A line
-- without a readable amount counts as 0. A wrong price or a missing day of sales is not visible here.

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
