select model
from ml.model_evaluation
where metric = 'churn_threshold'
order by model
