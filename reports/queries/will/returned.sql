select
    model,
    audience,
    'rate' as unit,
    value as repurchase_rate,
    baseline as overall_rate
from ml.model_evaluation
where metric = 'repurchase_rate' and audience like '% risk'
order by model, audience
