{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with transactions as (
    select * from {{ ref('int_transactions') }}
    where not is_guest
),

orders as (
    select * from {{ ref('int_orders') }}
    where not is_guest
),

scoring_dates as (
    select * from {{ ref('int_scoring_dates') }}
),

-- A line counts from its day, and an order from the day of its first purchase line. So a later line of
-- an order, such as a return, does not change the scores of earlier days.
-- Each is counted once, at the first scoring date on or after that day. Running totals then carry it
-- forward, so lines and orders are read once for any number of scoring dates.
revenue as (
    select /*+ broadcast(scoring_dates) */
        transactions.customer_key,
        scoring_dates.scored_on,
        sum(transactions.amount_cents) as net_cents
    from transactions
    inner join scoring_dates
        on transactions.ordered_on between scoring_dates.counts_from and scoring_dates.scored_on
    group by transactions.customer_key, scoring_dates.scored_on
),

purchases as (
    select /*+ broadcast(scoring_dates) */
        orders.customer_key,
        scoring_dates.scored_on,
        max(orders.ordered_on) as last_order_on,
        count(*) as orders
    from orders
    inner join scoring_dates
        on orders.purchased_on between scoring_dates.counts_from and scoring_dates.scored_on
    group by orders.customer_key, scoring_dates.scored_on
),

running_totals as (
    select
        revenue.customer_key,
        revenue.scored_on as valid_from,
        lead(revenue.scored_on) over customer_history as valid_before,
        max(purchases.last_order_on) over customer_history as last_order_on,
        coalesce(sum(purchases.orders) over customer_history, 0) as orders,
        sum(revenue.net_cents) over customer_history as net_cents
    from revenue
    left join purchases
        on revenue.customer_key = purchases.customer_key and revenue.scored_on = purchases.scored_on
    window customer_history as (partition by revenue.customer_key order by revenue.scored_on)
),

-- A total holds until the next scoring date that has a new line of the customer. The scoring dates between
-- the two repeat it.
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
