{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with orders as (
    select * from {{ ref('int_orders') }}
    where not is_guest
),

scoring_dates as (
    select * from {{ ref('int_scoring_dates') }}
),

-- Each order is counted once, at the first scoring date on or after its day. Running totals then
-- carry it forward, so the orders are read once for any number of scoring dates.
customer_intervals as (
    select /*+ broadcast(scoring_dates) */
        orders.customer_key,
        scoring_dates.scored_on,
        max(case when orders.is_purchase then orders.ordered_on end) as last_order_on,
        count_if(orders.is_purchase) as orders,
        sum(orders.net_cents) as net_cents
    from orders
    inner join scoring_dates
        on
            orders.ordered_on <= scoring_dates.scored_on
            and (
                orders.ordered_on > scoring_dates.previous_scored_on
                or scoring_dates.previous_scored_on is null
            )
    group by orders.customer_key, scoring_dates.scored_on
),

running_totals as (
    select
        customer_key,
        scored_on as valid_from,
        lead(scored_on) over customer_history as valid_before,
        max(last_order_on) over customer_history as last_order_on,
        sum(orders) over customer_history as orders,
        sum(net_cents) over customer_history as net_cents
    from customer_intervals
    window customer_history as (partition by customer_key order by scored_on)
),

-- A total is valid until the customer's next interval with an order. The scoring dates in between
-- repeat it.
final as (
    select /*+ broadcast(scoring_dates) */
        running_totals.customer_key,
        scoring_dates.scored_on,
        scoring_dates.is_month_end,
        scoring_dates.is_holdout_start,
        scoring_dates.is_as_of_date,
        datediff(scoring_dates.scored_on, running_totals.last_order_on) as recency_days,
        running_totals.orders,
        running_totals.net_cents
    from running_totals
    inner join scoring_dates
        on
            running_totals.valid_from <= scoring_dates.scored_on
            and (
                running_totals.valid_before > scoring_dates.scored_on
                or running_totals.valid_before is null
            )
)

select * from final
