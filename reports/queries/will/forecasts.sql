select
    model,
    audience,
    forecast_orders as forecast,
    actual_orders as actual,
    error_rate
from marts.forecast_accuracy
order by model, audience
