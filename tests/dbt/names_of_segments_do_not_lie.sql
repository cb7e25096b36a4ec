-- Whoever ordered once is not loyal yet, and nobody to win back at any price; whoever bought on the day
-- itself has not stayed away. Today and at any month end.
with customers as (
    select * from {{ ref('customers') }}
),

history as (
    select * from {{ ref('customer_segment_history') }}
),

named as (
    select
        cast(null as date) as month_end,
        customer_id,
        orders,
        recency_days,
        segment
    from customers
    union all
    select
        month_end,
        customer_id,
        frequency as orders,
        recency_days,
        segment
    from history
),

final as (
    select * from named
    where
        (
            segment in (
                'Champions',
                'Loyal Customers',
                'Potential Loyalists',
                'Need Attention',
                'At Risk',
                "Can't Lose Them"
            )
            and (orders > 1) is not true
        )
        or (segment in ('New Customers', 'Promising') and (orders = 1) is not true)
        or (
            segment in (
                'Need Attention', 'About To Sleep', 'At Risk', "Can't Lose Them", 'Hibernating'
            )
            and (recency_days > 0) is not true
        )
)

select * from final
