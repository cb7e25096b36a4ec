-- Fails when a segment's name contradicts its customers, today or at a month end: customers with one
-- order are in a segment of repeat buyers or the reverse, or customers who bought on the day itself are
-- in a segment of inactive customers.
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
