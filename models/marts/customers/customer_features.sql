{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with customers as (
    select * from {{ ref('int_customers') }}
),

segments as (
    select * from {{ ref('rfm_segments') }}
),

-- One row: for each measure the lowest values that earn the scores 2 to 5.
thresholds as (
    select
        collect_list(from_goodness) filter (where metric = 'recency') as recency,
        collect_list(from_goodness) filter (where metric = 'frequency') as frequency,
        collect_list(from_goodness) filter (where metric = 'monetary') as monetary
    from {{ ref('int_rfm_thresholds') }}
    where score > 1
),

scored as (
    select
        customers.*,
        case
            when customers.orders > 0
                then {{ rfm_score_of('-customers.recency_days', 'thresholds.recency') }}
        end as r_score,
        case
            when customers.orders > 0
                then {{ rfm_score_of('customers.orders', 'thresholds.frequency') }}
        end as f_score,
        case
            when customers.orders > 0
                then {{ rfm_score_of('customers.net_cents', 'thresholds.monetary') }}
        end as m_score
    from customers
    cross join thresholds
),

final as (
    select /*+ broadcast(segments) */
        scored.customer_id,
        scored.registered_on,
        scored.age,
        scored.gender,
        scored.region,
        scored.membership_level,

        scored.first_order_on,
        scored.last_order_on,
        scored.recency_days,
        scored.orders,
        scored.units,
        {{ money('scored.gross_cents') }} as gross_revenue,
        {{ money('scored.returned_cents') }} as returned_revenue,
        {{ money('scored.net_cents') }} as net_revenue,
        {{ average_money('scored.net_cents', 'scored.orders') }} as average_order_value,
        scored.active_days,
        scored.tenure_days,
        cast(datediff(scored.last_order_on, scored.first_order_on) as double)
        / nullif(scored.orders - 1, 0) as average_days_between_orders,
        scored.category_count,
        scored.favourite_category,
        scored.favourite_payment_method,
        {{ share('scored.weekend_orders', 'scored.orders') }} as weekend_order_share,
        {{ share('scored.holiday_season_orders', 'scored.orders') }} as holiday_season_order_share,

        scored.r_score,
        scored.f_score,
        scored.m_score,
        concat(scored.r_score, scored.f_score, scored.m_score) as rfm_score,
        coalesce(segments.segment, 'Prospects') as segment,
        coalesce(scored.m_score = 5, false) as is_big_spender,

        scored.customer_key
    from scored
    left join segments
        on
            scored.r_score = segments.r_score
            and scored.f_score = segments.f_score
)

select * from final
