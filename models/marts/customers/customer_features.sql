{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with customers as (
    select * from {{ ref('int_customers') }}
),

scores as (
    select * from {{ ref('int_customer_scores') }}
    where is_as_of_date
),

final as (
    select
        customers.customer_id,
        customers.registered_on,
        customers.age,
        customers.gender,
        customers.region,
        customers.membership_level,

        customers.first_order_on,
        customers.last_order_on,
        customers.recency_days,
        customers.orders,
        {{ quantity('customers.units_thousandths') }} as units,
        {{ money('customers.gross_cents') }} as gross_revenue,
        {{ money('customers.returned_cents') }} as returned_revenue,
        {{ money('customers.net_cents') }} as net_revenue,
        {{ average_money('customers.net_cents', 'customers.orders') }} as average_order_value,
        customers.active_days,
        customers.tenure_days,
        cast(datediff(customers.last_order_on, customers.first_order_on) as double)
        / nullif(customers.orders - 1, 0) as average_days_between_orders,
        customers.category_count,
        customers.favorite_category,
        customers.favorite_payment_method,
        {{ share('customers.weekend_orders', 'customers.orders') }} as weekend_order_share,
        {{ share('customers.holiday_season_orders', 'customers.orders') }}
            as holiday_season_order_share,

        scores.r_score,
        scores.f_score,
        scores.m_score,
        scores.rfm_score,
        coalesce(scores.segment, 'Prospects') as segment,
        coalesce(scores.m_score = 5, false) as is_big_spender,

        customers.customer_key
    from customers
    left join scores on customers.customer_key = scores.customer_key
)

select * from final
