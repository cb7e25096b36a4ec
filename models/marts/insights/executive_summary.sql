{%- set window_days = var('window_days') -%}

with orders as (
    select * from {{ ref('int_orders') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

data_period as (
    select * from {{ ref('int_data_period') }}
),

customers as (
    select * from {{ ref('customers') }}
),

definitions as (
    select * from {{ ref('metric_definitions') }}
),

-- Windows count back from the as-of date: 0 is the last one, 1 the one before. Window 2 serves only to
-- tell who was retained from it in window 1.
window_numbers as (
    select explode(sequence(0, 2)) as window_number
),

-- A window that the data cover only in part is nothing to compare with. Behind isolated late lines no window
-- is covered.
windows as (
    select window_numbers.window_number
    from window_numbers
    cross join as_of
    cross join data_period
    where
        window_numbers.window_number = 0
        or (
            data_period.late_lines = 0
            and datediff(as_of.as_of_date, data_period.first_on) + 1
            >= (window_numbers.window_number + 1) * {{ window_days }}
        )
),

windowed_orders as (
    select
        orders.*,
        datediff(as_of.as_of_date, orders.ordered_on) div {{ window_days }} as window_number
    from orders
    cross join as_of
    where datediff(as_of.as_of_date, orders.ordered_on) < 3 * {{ window_days }}
),

sales as (
    select
        window_number,
        count_if(is_purchase) as orders,
        sum(gross_cents) as gross_cents,
        sum(returned_cents) as returned_cents,
        sum(net_cents) as net_cents,
        sum(net_cents) filter (where not is_guest) as customer_net_cents
    from windowed_orders
    group by window_number
),

active_customers as (
    select
        customer_key,
        window_number,
        count(*) as orders
    from windowed_orders
    where is_purchase and not is_guest
    group by customer_key, window_number
),

followed_customers as (
    select
        window_number,
        orders,
        lead(window_number) over (partition by customer_key order by window_number)
            as earlier_window_number
    from active_customers
),

activity as (
    select
        window_number,
        count(*) as active,
        count_if(orders > 1) as repeating,
        count_if(earlier_window_number = window_number + 1) as retained
    from followed_customers
    group by window_number
),

first_windows as (
    select datediff(as_of.as_of_date, customers.first_order_on) div {{ window_days }} as window_number
    from customers
    cross join as_of
),

newcomers as (
    select
        window_number,
        count(*) as new
    from first_windows
    group by window_number
),

counts as (
    select
        windows.window_number,
        coalesce(sales.orders, 0) as orders,
        coalesce(sales.gross_cents, 0) as gross_cents,
        coalesce(sales.returned_cents, 0) as returned_cents,
        coalesce(sales.net_cents, 0) as net_cents,
        coalesce(sales.customer_net_cents, 0) as customer_net_cents,
        coalesce(activity.active, 0) as active,
        coalesce(activity.repeating, 0) as repeating,
        coalesce(activity.retained, 0) as retained,
        coalesce(newcomers.new, 0) as new,
        -- Null where there is no window before.
        lead(coalesce(activity.active, 0)) over (order by windows.window_number) as active_before
    from windows
    left join sales on windows.window_number = sales.window_number
    left join activity on windows.window_number = activity.window_number
    left join newcomers on windows.window_number = newcomers.window_number
),

window_metrics as (
    select
        window_number,
        stack(
            9,
            'net_revenue', net_cents / 100D,
            'orders', cast(orders as double),
            'active_customers', cast(active as double),
            -- In the first window of the data everybody is new, which is nothing to compare with.
            'new_customers',
            cast(case when window_number = 0 or active_before is not null then new end as double),
            'average_order_value', {{ average_money('net_cents', 'orders') }},
            'revenue_per_active_customer', {{ average_money('customer_net_cents', 'active') }},
            'repeat_rate', {{ share('repeating', 'active') }},
            'retention_rate', {{ share('retained', 'active_before') }},
            'return_rate', {{ share('returned_cents', 'gross_cents') }}
        ) as (metric, value)
    from counts
),

customer_totals as (
    select
        count(*) as customers,
        count_if(orders > 0) as buyers,
        cast(coalesce(sum(net_revenue), 0) * 100 as bigint) as net_cents,
        -- Unknown, not zero, as long as no customer has a risk.
        case when count(churn_risk) > 0 then count_if(churn_risk = 'high') end as high_risk,
        case
            when count(churn_risk) > 0
                then coalesce(sum(value_at_stake) filter (where churn_risk = 'high'), 0)
        end as at_stake
    from customers
),

total_metrics as (
    select
        stack(
            5,
            'customers', cast(customers as double),
            'lifetime_net_revenue', net_cents / 100D,
            'average_customer_value', {{ average_money('net_cents', 'buyers') }},
            'high_risk_customers', cast(high_risk as double),
            'revenue_at_stake', cast(at_stake as double)
        ) as (metric, value)
    from customer_totals
),

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
        (metrics.value - metrics.previous_value) / nullif(abs(metrics.previous_value), 0)
            as change_rate,
        definitions.unit,
        definitions.definition
    from definitions
    left join metrics on definitions.metric = metrics.metric
)

select * from final
