-- What will the next twelve months bring from today's customers?
--
-- Read: a row per calendar month, and one each for the next 3 and 12 months. Four of five actual values
-- should lie between the columns ending in low_80 and high_80.
-- Beware: customers who are yet to come are not included. The first and the last month are partial unless
-- the as-of date is a month end. No rows: there is no purchase model, the last forecast is as of another
-- date, or repeating an earlier period forecast better. Revenue is null without a model of the spend.

with forecasts as (
    select * from {{ ref('revenue_forecast') }}
),

final as (
    select
        period,
        starts_on,
        ends_on,
        existing_customer_orders,
        orders_low_80,
        orders_high_80,
        existing_customer_revenue,
        revenue_low_80,
        revenue_high_80
    from forecasts
)

select * from final
order by starts_on, ends_on
