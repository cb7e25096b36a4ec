{{ config(materialized='view', persist_docs={'relation': true, 'columns': true}) }}

with customers as (
    select * from {{ ref('customer_features') }}
),

final as (
    select
        customer_id,
        recency_days,
        orders as frequency,
        net_revenue as monetary,
        r_score,
        f_score,
        m_score,
        rfm_score,
        segment
    from customers
    where orders > 0
)

select * from final
