select
    k,
    k as clusters,
    silhouette,
    stability,
    smallest_share,
    chosen,
    fitted_on
from ml.cluster_selection
order by k
