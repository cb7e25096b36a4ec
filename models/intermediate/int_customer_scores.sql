{# A view, because scoring again in each query costs less than writing a row per customer and date. #}
{{ config(materialized='view') }}

with rfm_by_date as (
    select * from {{ ref('int_customer_rfm_by_date') }}
),

segments as (
    select * from {{ ref('rfm_segments') }}
),

-- One row per scoring date, with columns such as recency_lowest_2 and monetary_lowest_5.
thresholds as (
    select *
    from {{ ref('int_rfm_thresholds') }}
        pivot (
            min(lowest_2) as lowest_2,
            min(lowest_3) as lowest_3,
            min(lowest_4) as lowest_4,
            min(lowest_5) as lowest_5
            for metric in (
                'recency' as recency,
                'frequency' as frequency,
                'monetary' as monetary
            )
        )
),

scored_customers as (
    select /*+ broadcast(thresholds) */
        rfm_by_date.*,
        case
            when rfm_by_date.orders > 0
                then {{ rfm_score_of('-rfm_by_date.recency_days', 'thresholds.recency_lowest') }}
        end as r_score,
        case
            when rfm_by_date.orders > 0
                then {{ rfm_score_of('rfm_by_date.orders', 'thresholds.frequency_lowest') }}
        end as f_score,
        case
            when rfm_by_date.orders > 0
                then {{ rfm_score_of('rfm_by_date.net_cents', 'thresholds.monetary_lowest') }}
        end as m_score
    from rfm_by_date
    left join thresholds on rfm_by_date.scored_on = thresholds.scored_on
),

final as (
    select /*+ broadcast(segments) */
        scored_customers.*,
        concat(scored_customers.r_score, scored_customers.f_score, scored_customers.m_score) as rfm_score,
        coalesce(segments.segment, 'Prospects') as segment
    from scored_customers
    left join segments
        on
            scored_customers.r_score = segments.r_score
            and scored_customers.f_score = segments.f_score
)

select * from final
