with evaluation as (
    select * from {{ source('ml', 'model_evaluation') }}
),

final as (
    select
        model,
        audience,
        value as forecast_orders,
        baseline as actual_orders,
        (value - baseline) / nullif(baseline, 0) as error_rate
    from evaluation
    where metric = 'holdout_orders'
)

select * from final
