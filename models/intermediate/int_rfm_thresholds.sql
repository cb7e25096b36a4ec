with ranks as (
    select
        *,
        compared_customers - worse_customers - customers as better_customers
    from {{ ref('int_rfm_ranks') }}
),

-- models/definitions.md explains the formulas (r_score, f_score, m_score). `div` divides whole numbers
-- exactly; `greatest(1, compared_customers - 1)` avoids a division by zero if there is only one customer.
scored_values as (
    select
        scored_on,
        metric,
        value,
        case
            when metric = 'recency'
                then greatest(1, 5 - (5 * better_customers) div greatest(1, compared_customers - 1))
            when metric = 'frequency' and compared_customers = 1
                then 4
            when metric = 'frequency'
                then
                    2
                    + least(
                        3,
                        (4 * (2 * worse_customers + customers - 1))
                        div (2 * (compared_customers - 1))
                    )
            when metric = 'monetary'
                then least(5, 1 + (5 * worse_customers) div greatest(1, compared_customers - 1))
        end as score
    from ranks
),

-- Ties can leave a score without customers. Its lowest value is then that of the next higher score, or null
-- if no customer has a higher one.
final as (
    select
        scored_on,
        metric,
        min(value) filter (where score >= 2) as lowest_2,
        min(value) filter (where score >= 3) as lowest_3,
        min(value) filter (where score >= 4) as lowest_4,
        min(value) filter (where score >= 5) as lowest_5
    from scored_values
    group by scored_on, metric
)

select * from final
