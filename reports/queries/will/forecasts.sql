select
    origin_on,
    model,
    audience,
    forecast_orders as forecast,
    low_80_orders as low_80,
    high_80_orders as high_80,
    actual_orders as actual,
    error_rate
from marts.forecast_accuracy
order by origin_on, model, audience
