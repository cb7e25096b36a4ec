{{ config(partition_by='month_end') }}

with scores as (
    select * from {{ ref('int_customer_scores') }}
),

final as (
    select
        scored_on as month_end,
        customer_id,
        recency_days,
        orders as frequency,
        {{ money('net_cents') }} as monetary,
        r_score,
        f_score,
        m_score,
        rfm_score,
        segment
    from scores
    where is_month_end and orders > 0
)

select * from final
