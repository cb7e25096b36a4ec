select
    origin_on,
    model,
    'score' as unit,
    value as auc,
    baseline as auc_of_recency
from ml.model_evaluation
where metric = 'auc' and audience = 'all'
order by origin_on, model
