with playbook as (
    select * from {{ ref('segment_playbook') }}
),

customers as (
    select * from {{ ref('customer_features') }}
),

segments as (
    select
        segment,
        count(*) as customers,
        sum(net_revenue) as net_revenue,
        sum(recency_days) as recency_days,
        sum(orders) as orders
    from customers
    group by segment
),

totals as (
    select
        sum(customers) as customers,
        sum(net_revenue) as net_revenue
    from segments
),

final as (
    select
        playbook.segment,
        coalesce(segments.customers, 0) as customers,
        {{ share('coalesce(segments.customers, 0)', 'totals.customers') }} as customer_share,
        cast(coalesce(segments.net_revenue, 0) as decimal(18, 2)) as net_revenue,
        -- Shares of a loss, or of no revenue, have no meaning.
        {{ share('coalesce(segments.net_revenue, 0)', 'greatest(totals.net_revenue, 0)') }}
            as revenue_share,
        {{ share('segments.recency_days', 'segments.customers') }} as average_recency_days,
        {{ share('segments.orders', 'segments.customers') }} as average_orders,
        {{ share('segments.net_revenue', 'segments.orders') }} as average_order_value,
        playbook.recommended_action
    from playbook
    left join segments on playbook.segment = segments.segment
    cross join totals
)

select * from final
