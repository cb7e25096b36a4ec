select
    churn_risk,
    customers,
    net_revenue,
    average_recency_days
from marts.churn_summary
order by churn_risk
