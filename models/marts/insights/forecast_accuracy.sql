with evaluation as (
    select * from {{ source('ml', 'model_evaluation') }}
),

forecasts as (
    select
        origin_on,
        model,
        audience,
        max(value) filter (where metric = 'holdout_orders') as forecast_orders,
        max(value) filter (where metric = 'holdout_orders_low_80') as low_80_orders,
        max(value) filter (where metric = 'holdout_orders_high_80') as high_80_orders,
        -- The baseline of a forecast is the actual number.
        max(baseline) filter (where metric = 'holdout_orders') as actual_orders
    from evaluation
    where metric like 'holdout_orders%'
    group by origin_on, model, audience
),

final as (
    select
        origin_on,
        model,
        audience,
        forecast_orders,
        low_80_orders,
        high_80_orders,
        actual_orders,
        (forecast_orders - actual_orders) / nullif(actual_orders, 0) as error_rate
    from forecasts
)

select * from final
