with scores as (
    select * from {{ ref('int_customer_scores') }}
    where is_holdout_start or is_as_of_date
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

data_period as (
    select * from {{ ref('int_data_period') }}
),

-- The data must reach the last tenth of the holdout. Otherwise too little is known of it.
holdout as (
    select 10 * datediff(as_of.as_of_date, data_period.last_on) <= {{ var('holdout_days') }} as has_data
    from as_of
    cross join data_period
),

customers as (
    select
        customer_key,
        max(segment) filter (where is_holdout_start) as segment,
        max(orders) filter (where is_holdout_start) as orders_before,
        max(orders) filter (where is_as_of_date) as orders
    from scores
    group by customer_key
),

final as (
    select
        segment,
        count(*) as customers,
        {{ share('count_if(orders > orders_before)', 'count(*)') }} as repurchase_rate,
        {{ share('sum(orders - orders_before)', 'count(*)') }} as orders_per_customer
    from customers
    where orders_before > 0 and (select holdout.has_data from holdout)
    group by segment
)

select * from final
