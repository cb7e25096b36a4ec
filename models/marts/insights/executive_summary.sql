{%- set window_days = var('window_days') -%}

with orders as (
    select * from {{ ref('int_orders') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

customers as (
    select * from {{ ref('customers') }}
),

definitions as (
    select * from {{ ref('metric_definitions') }}
),

-- Windows count back from the as-of date: 0 is the last one, 1 the one before. Window 2 serves only to
-- tell who was retained from it in window 1.
windowed_orders as (
    select
        orders.*,
        datediff(as_of.as_of_date, orders.ordered_on) div {{ window_days }} as window_number
    from orders
    cross join as_of
    where datediff(as_of.as_of_date, orders.ordered_on) < 3 * {{ window_days }}
),

customer_windows as (
    select
        customer_key,
        count_if(is_purchase and window_number = 0) as orders_0,
        count_if(is_purchase and window_number = 1) as orders_1,
        count_if(is_purchase and window_number = 2) as orders_2,
        coalesce(sum(net_cents) filter (where window_number = 0), 0) as net_cents_0,
        coalesce(sum(net_cents) filter (where window_number = 1), 0) as net_cents_1
    from windowed_orders
    where not is_guest
    group by customer_key
),

retention as (
    select
        count_if(orders_0 > 0) as active_0,
        count_if(orders_1 > 0) as active_1,
        count_if(orders_2 > 0) as active_2,
        count_if(orders_0 > 1) as repeating_0,
        count_if(orders_1 > 1) as repeating_1,
        count_if(orders_0 > 0 and orders_1 > 0) as retained_0,
        count_if(orders_1 > 0 and orders_2 > 0) as retained_1,
        coalesce(sum(net_cents_0), 0) as customer_net_cents_0,
        coalesce(sum(net_cents_1), 0) as customer_net_cents_1
    from customer_windows
),

sales as (
    select
        count_if(is_purchase and window_number = 0) as orders_0,
        count_if(is_purchase and window_number = 1) as orders_1,
        coalesce(sum(gross_cents) filter (where window_number = 0), 0) as gross_cents_0,
        coalesce(sum(gross_cents) filter (where window_number = 1), 0) as gross_cents_1,
        coalesce(sum(returned_cents) filter (where window_number = 0), 0) as returned_cents_0,
        coalesce(sum(returned_cents) filter (where window_number = 1), 0) as returned_cents_1,
        coalesce(sum(net_cents) filter (where window_number = 0), 0) as net_cents_0,
        coalesce(sum(net_cents) filter (where window_number = 1), 0) as net_cents_1
    from windowed_orders
),

dated_customers as (
    select
        customers.orders,
        customers.net_revenue,
        customers.churn_risk,
        customers.value_at_stake,
        datediff(as_of.as_of_date, customers.first_order_on) div {{ window_days }}
            as first_window_number
    from customers
    cross join as_of
),

customer_totals as (
    select
        count(*) as customers,
        count_if(orders > 0) as buyers,
        count_if(first_window_number = 0) as new_0,
        count_if(first_window_number = 1) as new_1,
        cast(coalesce(sum(net_revenue), 0) * 100 as bigint) as net_cents,
        -- Unknown, not zero, as long as no customer has a risk.
        case when count(churn_risk) > 0 then count_if(churn_risk = 'high') end as high_risk,
        case
            when count(churn_risk) > 0
                then coalesce(sum(value_at_stake) filter (where churn_risk = 'high'), 0)
        end as at_stake
    from dated_customers
),

all_measures as (
    select
        sales.*,
        retention.*,
        customer_totals.*
    from sales
    cross join retention
    cross join customer_totals
),

metrics as (
    select
        stack(
            14,
            'net_revenue', net_cents_0 / 100D, net_cents_1 / 100D,
            'orders', cast(orders_0 as double), cast(orders_1 as double),
            'active_customers', cast(active_0 as double), cast(active_1 as double),
            'new_customers', cast(new_0 as double), cast(new_1 as double),
            'average_order_value',
            {{ average_money('net_cents_0', 'orders_0') }},
            {{ average_money('net_cents_1', 'orders_1') }},
            'revenue_per_active_customer',
            {{ average_money('customer_net_cents_0', 'active_0') }},
            {{ average_money('customer_net_cents_1', 'active_1') }},
            'repeat_rate',
            {{ share('repeating_0', 'active_0') }}, {{ share('repeating_1', 'active_1') }},
            'retention_rate',
            {{ share('retained_0', 'active_1') }}, {{ share('retained_1', 'active_2') }},
            'return_rate',
            {{ share('returned_cents_0', 'gross_cents_0') }},
            {{ share('returned_cents_1', 'gross_cents_1') }},
            'customers', cast(customers as double), cast(null as double),
            'lifetime_net_revenue', net_cents / 100D, cast(null as double),
            'average_customer_value',
            {{ average_money('net_cents', 'buyers') }}, cast(null as double),
            'high_risk_customers', cast(high_risk as double), cast(null as double),
            'revenue_at_stake', cast(at_stake as double), cast(null as double)
        ) as (metric, value, previous_value)
    from all_measures
),

final as (
    select
        definitions.metric,
        metrics.value,
        metrics.previous_value,
        (metrics.value - metrics.previous_value) / nullif(abs(metrics.previous_value), 0)
            as change_rate,
        definitions.unit,
        definitions.definition
    from definitions
    left join metrics on definitions.metric = metrics.metric
)

select * from final
