{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with registered_customers as (
    select * from {{ ref('stg_customers') }}
),

customer_days as (
    select * from {{ ref('int_customer_days') }}
),

customer_categories as (
    select * from {{ ref('int_customer_categories') }}
    where not is_guest and orders > 0 and product_category <> 'Unknown'
),

customer_payment_methods as (
    select * from {{ ref('int_customer_payment_methods') }}
    where not is_guest and orders > 0 and payment_method <> 'Unknown'
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

order_histories as (
    select
        customer_key,
        customer_id,
        min(case when orders > 0 then ordered_on end) as first_order_on,
        max(case when orders > 0 then ordered_on end) as last_order_on,
        count_if(orders > 0) as active_days,
        sum(orders) as orders,
        sum(case when extract(dayofweek_iso from ordered_on) >= 6 then orders else 0 end)
            as weekend_orders,
        sum(case when month(ordered_on) >= 11 then orders else 0 end) as holiday_season_orders,
        sum(units_thousandths) as units_thousandths,
        sum(gross_cents) as gross_cents,
        sum(returned_cents) as returned_cents
    from customer_days
    group by customer_key, customer_id
),

categories as (
    select
        customer_key,
        count(*) as category_count,
        min_by(product_category, struct(-orders, product_category)) as favorite_category
    from customer_categories
    group by customer_key
),

payment_methods as (
    select
        customer_key,
        min_by(payment_method, struct(-orders, payment_method)) as favorite_payment_method
    from customer_payment_methods
    group by customer_key
),

-- This join comes first, because Spark no longer knows the buckets after the full join with the
-- registered customers.
habits as (
    select
        order_histories.*,
        categories.category_count,
        categories.favorite_category,
        payment_methods.favorite_payment_method
    from order_histories
    left join categories on order_histories.customer_key = categories.customer_key
    left join payment_methods on order_histories.customer_key = payment_methods.customer_key
),

all_customers as (
    select
        coalesce(registered_customers.customer_key, habits.customer_key) as customer_key,
        coalesce(registered_customers.customer_id, habits.customer_id) as customer_id,
        registered_customers.customer_key is not null as is_registered,
        habits.customer_key is not null as has_orders,
        registered_customers.registered_on,
        registered_customers.age,
        registered_customers.gender,
        registered_customers.region,
        registered_customers.membership_level,
        habits.first_order_on,
        habits.last_order_on,
        coalesce(habits.active_days, 0) as active_days,
        coalesce(habits.orders, 0) as orders,
        coalesce(habits.weekend_orders, 0) as weekend_orders,
        coalesce(habits.holiday_season_orders, 0) as holiday_season_orders,
        coalesce(habits.units_thousandths, 0) as units_thousandths,
        coalesce(habits.gross_cents, 0) as gross_cents,
        coalesce(habits.returned_cents, 0) as returned_cents,
        coalesce(habits.category_count, 0) as category_count,
        habits.favorite_category,
        habits.favorite_payment_method
    from registered_customers
    full outer join habits
        on registered_customers.customer_key = habits.customer_key
),

final as (
    select /*+ broadcast(as_of) */
        all_customers.*,
        all_customers.gross_cents - all_customers.returned_cents as net_cents,
        datediff(as_of.as_of_date, all_customers.last_order_on) as recency_days,
        datediff(
            as_of.as_of_date,
            least(
                -- A registration after the as-of date is not known yet.
                case
                    when all_customers.registered_on <= as_of.as_of_date
                        then all_customers.registered_on
                end,
                all_customers.first_order_on
            )
        ) as tenure_days
    from all_customers
    cross join as_of
    -- Leaves out registrations after the as-of date, unless the customer had ordered by then.
    where all_customers.has_orders or (all_customers.registered_on > as_of.as_of_date) is not true
)

select * from final
