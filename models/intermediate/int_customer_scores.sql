{# A view keeps the buckets of the table below it, and costs nothing to build. #}
{{ config(materialized='view') }}

with snapshots as (
    select * from {{ ref('int_customer_snapshots') }}
),

segments as (
    select * from {{ ref('rfm_segments') }}
),

-- One row per snapshot date: for each measure the lowest values that earn the scores 2 to 5.
thresholds as (
    select
        snapshot_on,
        collect_list(from_goodness) filter (where metric = 'recency' and score > 1) as recency,
        collect_list(from_goodness) filter (where metric = 'frequency' and score > 1) as frequency,
        collect_list(from_goodness) filter (where metric = 'monetary' and score > 1) as monetary
    from {{ ref('int_rfm_thresholds') }}
    group by snapshot_on
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
