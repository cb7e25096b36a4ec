-- Where does each number of the executive summary come from, and do the other marts agree?
--
-- Read: found_value is the same number, computed from the mart found_in. For metrics that this query
-- does not compute again, found_in, found_value and agrees are null. The lineage site shows the sources
-- of all metrics.
-- Beware: agreement means that two computations give the same number, not that the raw data are right.

with summary as (
    select * from {{ ref('executive_summary') }}
),

customers as (
    select * from {{ ref('customers') }}
),

segments as (
    select * from {{ ref('segment_summary') }}
),

risks as (
    select * from {{ ref('churn_summary') }}
),

customer_totals as (
    select
        count_if(recency_days < {{ var('window_days') }}) as active_customers,
        count_if(datediff(last_order_on, first_order_on) + recency_days < {{ var('window_days') }})
            as new_customers,
        {{ share('sum(net_revenue)', 'count_if(orders > 0)') }} as average_customer_value
    from customers
),

segment_totals as (
    select
        sum(customers) as customers,
        sum(net_revenue) as net_revenue
    from segments
),

found_values as (
    select
        stack(
            3,
            'active_customers', cast(active_customers as double),
            'new_customers', cast(new_customers as double),
            'average_customer_value', average_customer_value
        ) as (metric, found_value),
        'customers' as found_in
    from customer_totals
    union all
    select
        stack(
            2,
            'customers', cast(customers as double),
            'lifetime_net_revenue', cast(net_revenue as double)
        ) as (metric, found_value),
        'segment_summary' as found_in
    from segment_totals
    union all
    select
        'high_risk_customers' as metric,
        cast(customers as double) as found_value,
        'churn_summary' as found_in
    from risks
    where churn_risk = 'high'
),

final as (
    select
        summary.metric,
        summary.value,
        found_values.found_in,
        found_values.found_value,
        abs(summary.value - found_values.found_value) < 0.005 as agrees,
        summary.unit,
        summary.definition
    from summary
    left join found_values on summary.metric = found_values.metric
)

select * from final
order by metric
