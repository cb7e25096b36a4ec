-- Fails when a segment's name contradicts its customers. An f_score of 1 means one order, and customers who
-- bought on the as-of date have an r_score of 5.
with segments as (
    select * from {{ ref('rfm_segments') }}
),

final as (
    select * from segments
    where
        (
            f_score = 1
            and segment in (
                'Champions',
                'Loyal Customers',
                'Potential Loyalists',
                'Need Attention',
                'At Risk',
                "Can't Lose Them"
            )
        )
        or (f_score > 1 and segment in ('New Customers', 'Promising'))
        or (
            r_score = 5
            and segment in (
                'Need Attention', 'About To Sleep', 'At Risk', "Can't Lose Them", 'Hibernating'
            )
        )
)

select * from final
