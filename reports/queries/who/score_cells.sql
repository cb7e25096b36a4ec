select
    r_score,
    f_score,
    segment,
    customers,
    average_revenue
from marts.rfm_cells
order by r_score, f_score
