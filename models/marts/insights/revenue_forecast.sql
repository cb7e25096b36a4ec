with forecasts as (
    select * from {{ source('ml', 'purchase_forecast') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

-- A forecast of another as-of date does not cover the next twelve months.
current_forecasts as (
    select forecasts.*
    from forecasts
    inner join as_of on forecasts.as_of_date = as_of.as_of_date
),

orders as (
    select * from current_forecasts
    where quantity = 'orders'
),

revenue as (
    select * from current_forecasts
    where quantity = 'net_revenue'
),

final as (
    select
        orders.period,
        orders.starts_on,
        orders.ends_on,
        orders.model,
        orders.forecast as existing_customer_orders,
        orders.low_80 as orders_low_80,
        orders.high_80 as orders_high_80,
        cast(revenue.forecast as decimal(18, 2)) as existing_customer_revenue,
        cast(revenue.low_50 as decimal(18, 2)) as revenue_low_50,
        cast(revenue.high_50 as decimal(18, 2)) as revenue_high_50,
        cast(revenue.low_80 as decimal(18, 2)) as revenue_low_80,
        cast(revenue.high_80 as decimal(18, 2)) as revenue_high_80,
        cast(revenue.low_95 as decimal(18, 2)) as revenue_low_95,
        cast(revenue.high_95 as decimal(18, 2)) as revenue_high_95
    from orders
    left join revenue
        on orders.period = revenue.period and orders.starts_on = revenue.starts_on
)

select * from final
