{# A view: to score again for each reader takes less than to write a row per customer and month end. #}
{{ config(materialized='view') }}

with snapshots as (
    select * from {{ ref('int_customer_snapshots') }}
),

segments as (
    select * from {{ ref('rfm_segments') }}
),

-- One row per snapshot date: for each measure the lowest values that earn the scores 2 to 5.
thresholds as (
    select *
    from {{ ref('int_rfm_thresholds') }}
        pivot (
            min(from_goodness) for (metric, score) in (
                ('recency', 2) as recency_2,
                ('recency', 3) as recency_3,
                ('recency', 4) as recency_4,
                ('recency', 5) as recency_5,
                ('frequency', 2) as frequency_2,
                ('frequency', 3) as frequency_3,
                ('frequency', 4) as frequency_4,
                ('frequency', 5) as frequency_5,
                ('monetary', 2) as monetary_2,
                ('monetary', 3) as monetary_3,
                ('monetary', 4) as monetary_4,
                ('monetary', 5) as monetary_5
            )
        )
),

scored as (
    select /*+ broadcast(thresholds) */
        snapshots.*,
        case
            when snapshots.orders > 0
                then {{ rfm_score_of('-snapshots.recency_days', 'thresholds.recency') }}
        end as r_score,
        case
            when snapshots.orders > 0
                then {{ rfm_score_of('snapshots.orders', 'thresholds.frequency') }}
        end as f_score,
        case
            when snapshots.orders > 0
                then {{ rfm_score_of('snapshots.net_cents', 'thresholds.monetary') }}
        end as m_score
    from snapshots
    left join thresholds on snapshots.snapshot_on = thresholds.snapshot_on
),

final as (
    select /*+ broadcast(segments) */
        scored.*,
        concat(scored.r_score, scored.f_score, scored.m_score) as rfm_score,
        coalesce(segments.segment, 'Prospects') as segment
    from scored
    left join segments
        on
            scored.r_score = segments.r_score
            and scored.f_score = segments.f_score
)

select * from final
