-- Which segments bring the most revenue, and is it more than their share of the customers?
--
-- Read: a revenue_index of 2 means twice the revenue of the average customer.
-- Beware: this is past revenue, not a forecast. Guests are in no segment.

with segments as (
    select * from {{ ref('segment_summary') }}
),

final as (
    select
        segment,
        customers,
        customer_share,
        net_revenue,
        revenue_share,
        {{ share('net_revenue', 'customers') }} as revenue_per_customer,
        {{ share('revenue_share', 'customer_share') }} as revenue_index
    from segments
    where customers > 0
)

select * from final
order by net_revenue desc, segment asc
