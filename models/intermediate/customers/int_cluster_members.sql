with customers as (
    select * from {{ ref('customer_features') }}
),

clusters as (
    select * from {{ source('ml', 'customer_clusters') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

final as (
    select
        clusters.cluster,
        customers.recency_days,
        customers.orders,
        customers.units,
        customers.net_revenue,
        customers.category_count,
        customers.weekend_order_share,
        customers.holiday_season_order_share,
        customers.age,
        customers.gender,
        customers.region,
        customers.membership_level,
        customers.favorite_category,
        customers.favorite_payment_method
    from clusters
    -- The clusters may have been computed before a customer's only order was deleted.
    inner join customers on clusters.customer_key = customers.customer_key and customers.orders > 0
    -- Clusters of another as-of date are left out: they describe the customers on that date.
    inner join as_of on clusters.as_of_date = as_of.as_of_date
)

select * from final
