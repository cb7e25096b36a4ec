select count(*) as lines
from staging.stg_transactions
