select count(*) as categories
from marts.purchases_by_category
