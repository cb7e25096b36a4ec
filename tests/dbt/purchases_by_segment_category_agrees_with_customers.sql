-- Fails when a segment's revenue or orders by category differ from those of its customers. An order
-- counts in each of its categories: the sum can be higher than the number of orders, but no single row
-- can.
with purchases as (
    select * from {{ ref('purchases_by_segment_category') }}
),

customers as (
    select * from {{ ref('customers') }}
),

segments as (
    select
        segment,
        max(orders) as at_least,
        sum(orders) as at_most,
        sum(net_revenue) as net_revenue
    from purchases
    group by segment
),

expected as (
    select
        segment,
        sum(orders) as orders,
        sum(net_revenue) as net_revenue
    from customers
    group by segment
),

-- A segment without any line has no row, such as Prospects who only registered, so it counts as 0.
final as (
    select
        coalesce(segments.segment, expected.segment) as segment,
        segments.at_least,
        segments.at_most,
        expected.orders as expected_orders,
        segments.net_revenue,
        expected.net_revenue as expected_net_revenue
    from segments
    full outer join expected on segments.segment = expected.segment
    where
        coalesce(segments.net_revenue, 0) is distinct from coalesce(expected.net_revenue, 0)
        or (
            coalesce(expected.orders, 0)
            between coalesce(segments.at_least, 0) and coalesce(segments.at_most, 0)
        ) is not true
)

select * from final
