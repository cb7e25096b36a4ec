with playbook as (
    select * from {{ ref('segment_playbook') }}
),

customers as (
    select * from {{ ref('customer_features') }}
),

moves as (
    select * from {{ ref('segment_migration') }}
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

last_month as (
    select max(month_end) as month_end from moves
),

-- Each move counts twice: for the segment that was entered, and against the one that was left.
changes as (
    select
        moves.to_segment as segment,
        moves.customers
    from moves
    inner join last_month on moves.month_end = last_month.month_end
    union all
    select
        moves.from_segment as segment,
        -moves.customers as customers
    from moves
    inner join last_month on moves.month_end = last_month.month_end
),

gains as (
    select
        segment,
        sum(customers) as customers
    from changes
    group by segment
),

final as (
    select
        playbook.segment,
        coalesce(segments.customers, 0) as customers,
        -- No move shows who became a prospect, only who stopped being one.
        case
            when last_month.month_end is not null and playbook.segment <> 'Prospects'
                then coalesce(gains.customers, 0)
        end as customers_gained,
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
    left join gains on playbook.segment = gains.segment
    cross join totals
    cross join last_month
)

select * from final
