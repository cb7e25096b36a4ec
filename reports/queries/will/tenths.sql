select
    model,
    audience,
    'ratio' as unit,
    value as forecast,
    baseline as actual
from ml.model_evaluation
where metric = 'orders_per_customer'
order by model, audience
