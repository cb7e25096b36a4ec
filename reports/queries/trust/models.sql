select
    model,
    fitted_until,
    status,
    is_used,
    reason
from ml.lifetime_value_models
order by model, fitted_until
