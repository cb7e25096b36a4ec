{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with orders as (
    select * from {{ ref('int_orders') }}
    where not is_guest
),

snapshot_dates as (
    select * from {{ ref('int_snapshot_dates') }}
),

-- An order counts from the first snapshot on or after its day: one pass over the orders, however many
-- snapshots there are.
intervals as (
    select /*+ broadcast(snapshot_dates) */
        orders.customer_key,
        orders.customer_id,
        snapshot_dates.snapshot_on,
        max(case when orders.is_purchase then orders.ordered_on end) as last_order_on,
        count_if(orders.is_purchase) as orders,
        sum(orders.net_cents) as net_cents
    from orders
    inner join snapshot_dates
        on
            orders.ordered_on <= snapshot_dates.snapshot_on
            and (
                orders.ordered_on > snapshot_dates.previous_snapshot_on
                or snapshot_dates.previous_snapshot_on is null
            )
    group by orders.customer_key, orders.customer_id, snapshot_dates.snapshot_on
),

running_totals as (
    select
        customer_key,
        customer_id,
        snapshot_on as valid_from,
        lead(snapshot_on) over customer_intervals as valid_before,
        max(last_order_on) over customer_intervals as last_order_on,
        sum(orders) over customer_intervals as orders,
        sum(net_cents) over customer_intervals as net_cents
    from intervals
    window customer_intervals as (partition by customer_key order by snapshot_on)
),

-- Totals hold until the customer's next interval with an order, so the quiet snapshots are filled in.
final as (
    select /*+ broadcast(snapshot_dates) */
        running_totals.customer_key,
        running_totals.customer_id,
        snapshot_dates.snapshot_on,
        snapshot_dates.is_month_end,
        snapshot_dates.is_holdout_start,
        snapshot_dates.is_as_of_date,
        datediff(snapshot_dates.snapshot_on, running_totals.last_order_on) as recency_days,
        running_totals.orders,
        running_totals.net_cents
    from running_totals
    inner join snapshot_dates
        on
            running_totals.valid_from <= snapshot_dates.snapshot_on
            and (
                running_totals.valid_before > snapshot_dates.snapshot_on
                or running_totals.valid_before is null
            )
)

select * from final
