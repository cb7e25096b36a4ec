{{
    config(
        meta={'kept_by': 'month_end', 'kept_in': 'int_history_months'},
        clustered_by='customer_key',
        buckets=var('buckets'),
        post_hook='{{ note_history() }}'
    )
}}

with scores as (
    select * from {{ ref('int_customer_scores') }}
    where is_month_end
),

customers as (
    select * from {{ ref('int_customers') }}
),

history_months as (
    select * from {{ ref('int_history_months') }}
    where not is_kept
),

-- A customer has a row for every scored month end since the first line.
moves as (
    select
        *,
        coalesce(lag(segment) over customer_months, 'Prospects') as previous_segment,
        net_cents - coalesce(lag(net_cents) over customer_months, 0) as month_net_cents
    from scores
    window customer_months as (partition by customer_key order by scored_on)
),

final as (
    select /*+ broadcast(history_months) */
        history_months.month_end,
        moves.customer_key,
        customers.customer_id,
        moves.recency_days,
        moves.orders as frequency,
        {{ money('moves.net_cents') }} as monetary,
        moves.r_score,
        moves.f_score,
        moves.m_score,
        moves.rfm_score,
        moves.segment,
        moves.previous_segment,
        {{ money('moves.month_net_cents') }} as month_net_revenue
    from moves
    inner join history_months on moves.scored_on = history_months.month_end
    inner join customers on moves.customer_key = customers.customer_key
    where moves.orders > 0
)

select * from final
