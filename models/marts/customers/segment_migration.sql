with scores as (
    select * from {{ ref('int_customer_scores') }}
    where is_month_end
),

scoring_dates as (
    select * from {{ ref('int_scoring_dates') }}
),

-- A customer has a row for every month end since the first order, so the previous row is the
-- previous month end.
customer_moves as (
    select
        scored_on as month_end,
        coalesce(lag(segment) over customer_months, 'Prospects') as from_segment,
        segment as to_segment,
        orders,
        net_cents - coalesce(lag(net_cents) over customer_months, 0) as net_cents
    from scores
    window customer_months as (partition by customer_key order by scored_on)
),

-- The first month end has no earlier segments to compare with, so it has no moves.
history_start as (
    select min(scored_on) as month_end
    from scoring_dates
    where is_month_end
),

final as (
    select /*+ broadcast(history_start) */
        customer_moves.month_end,
        customer_moves.from_segment,
        customer_moves.to_segment,
        count(*) as customers,
        {{ money('sum(customer_moves.net_cents)') }} as net_revenue
    from customer_moves
    inner join history_start on customer_moves.month_end > history_start.month_end
    where customer_moves.orders > 0
    group by customer_moves.month_end, customer_moves.from_segment, customer_moves.to_segment
)

select * from final
