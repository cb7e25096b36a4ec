select
    k,
    k as clusters,
    silhouette,
    stability,
    smallest_share,
    chosen
from ml.cluster_selection
order by k
