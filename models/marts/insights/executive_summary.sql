with windows as (
    select * from {{ ref('int_windows') }}
),

customers as (
    select * from {{ ref('customers') }}
),

definitions as (
    select * from {{ ref('metric_definitions') }}
),

window_metrics as (
    select
        window_number,
        stack(
            9,
            'net_revenue', net_cents / 100D,
            'orders', cast(orders as double),
            'active_customers', cast(active_customers as double),
            -- In the first window of the data every customer is new, so its count is no basis for a
            -- comparison.
            'new_customers',
            cast(
                if(
                    window_number = 0 or previous_active_customers is not null, new_customers, null
                ) as double
            ),
            'average_order_value', {{ average_money('net_cents', 'orders') }},
            'revenue_per_active_customer',
            {{ average_money('customer_net_cents', 'active_customers') }},
            'repeat_rate', {{ share('repeat_customers', 'active_customers') }},
            'retention_rate', {{ share('retained_customers', 'previous_active_customers') }},
            'return_rate', {{ share('returned_cents', 'gross_cents') }}
        ) as (metric, value)
    from windows
),

customer_totals as (
    select
        count(*) as customers,
        count_if(orders > 0) as buyers,
        cast(coalesce(sum(net_revenue), 0) * 100 as bigint) as net_cents,
        count(churn_risk) as rated_customers,
        count_if(churn_risk = 'high') as high_risk_customers,
        coalesce(sum(value_at_stake) filter (where churn_risk = 'high'), 0) as revenue_at_stake
    from customers
),

total_metrics as (
    select
        stack(
            5,
            'customers', cast(customers as double),
            'lifetime_net_revenue', net_cents / 100D,
            'average_customer_value', {{ average_money('net_cents', 'buyers') }},
            -- If no customer has a churn risk, these values are unknown, not 0.
            'high_risk_customers',
            cast(if(rated_customers > 0, high_risk_customers, null) as double),
            'revenue_at_stake', cast(if(rated_customers > 0, revenue_at_stake, null) as double)
        ) as (metric, value)
    from customer_totals
),

-- The window before the last one gives the previous values. Totals have none.
metrics as (
    select
        metric,
        max(value) filter (where window_number = 0) as value,
        max(value) filter (where window_number = 1) as previous_value
    from window_metrics
    group by metric
    union all
    select
        metric,
        value,
        cast(null as double) as previous_value
    from total_metrics
),

final as (
    select
        definitions.metric,
        metrics.value,
        metrics.previous_value,
        case
            when metrics.previous_value > 0
                then (metrics.value - metrics.previous_value) / metrics.previous_value
        end as change_rate,
        definitions.unit,
        definitions.definition
    from definitions
    left join metrics on definitions.metric = metrics.metric
)

select * from final
