{%- set window_days = var('window_days') -%}

with orders as (
    select * from {{ ref('int_orders') }}
),

customers as (
    select * from {{ ref('int_customers') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

data_period as (
    select * from {{ ref('int_data_period') }}
),

-- The last window always has a row. Earlier windows serve for comparison, so they have a row only if
-- the data begin on or before their first day and reach the last tenth of the last window. Isolated late
-- lines make the as-of date doubtful: then there are no earlier windows.
windows as (
    select window_numbers.window_number
    from (select explode(sequence(0, 2)) as window_number) as window_numbers
    cross join as_of
    cross join data_period
    where
        window_numbers.window_number = 0
        or (
            data_period.late_lines = 0
            and datediff(as_of.as_of_date, data_period.first_on) + 1
            >= (window_numbers.window_number + 1) * {{ window_days }}
            and 10 * datediff(as_of.as_of_date, data_period.last_on) <= {{ window_days }}
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

customer_windows as (
    select
        customer_key,
        window_number,
        count(*) as orders,
        lead(window_number) over (partition by customer_key order by window_number)
            as earlier_window_number
    from windowed_orders
    where is_purchase and not is_guest
    group by customer_key, window_number
),

activity_counts as (
    select
        window_number,
        count(*) as active_customers,
        count_if(orders > 1) as repeat_customers,
        count_if(earlier_window_number = window_number + 1) as retained_customers
    from customer_windows
    group by window_number
),

new_customer_counts as (
    select
        datediff(as_of.as_of_date, customers.first_order_on) div {{ window_days }} as window_number,
        count(*) as new_customers
    from customers
    cross join as_of
    group by datediff(as_of.as_of_date, customers.first_order_on) div {{ window_days }}
),

final as (
    select
        windows.window_number,
        coalesce(sales.orders, 0) as orders,
        coalesce(sales.gross_cents, 0) as gross_cents,
        coalesce(sales.returned_cents, 0) as returned_cents,
        coalesce(sales.net_cents, 0) as net_cents,
        coalesce(sales.customer_net_cents, 0) as customer_net_cents,
        coalesce(activity_counts.active_customers, 0) as active_customers,
        coalesce(activity_counts.repeat_customers, 0) as repeat_customers,
        coalesce(activity_counts.retained_customers, 0) as retained_customers,
        coalesce(new_customer_counts.new_customers, 0) as new_customers,
        lead(coalesce(activity_counts.active_customers, 0)) over (order by windows.window_number)
            as previous_active_customers
    from windows
    left join sales on windows.window_number = sales.window_number
    left join activity_counts on windows.window_number = activity_counts.window_number
    left join new_customer_counts on windows.window_number = new_customer_counts.window_number
)

select * from final
