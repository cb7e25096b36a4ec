{# A table of a few rows, because it is read several times. #}
{{ config(materialized='table') }}

{%- set enough_regulars = 'count_if(orders >= 3) >= ' ~ var('minimum_sample') -%}

with members as (
    select * from {{ ref('int_cluster_members') }}
),

final as (
    select
        cluster,
        count(*) as customers,
        sum(net_revenue) as net_revenue,
        -- A few known ages say little about all.
        case when count(age) >= {{ var('minimum_sample') }} then {{ share('sum(age)', 'count(age)') }} end
            as average_age,
        {{ share('sum(recency_days)', 'count(*)') }} as average_recency_days,
        {{ share('sum(orders)', 'count(*)') }} as average_orders,
        {{ share('sum(net_revenue)', 'sum(orders)') }} as average_order_value,
        {{ share('sum(units)', 'sum(orders)') }} as average_units_per_order,
        {{ share('sum(category_count)', 'count(*)') }} as average_category_count,
        -- Rounded: the last digits of a sum of fractions depend on the order of the rows.
        round(avg(weekend_order_share), 6) as weekend_order_share,
        round(avg(holiday_season_order_share), 6) as holiday_season_order_share,
        -- A share needs several orders: with one order it is always 0 or 1.
        case
            when {{ enough_regulars }}
                then round(avg(weekend_order_share) filter (where orders >= 3), 6)
        end as regulars_weekend_share,
        case
            when {{ enough_regulars }}
                then round(avg(holiday_season_order_share) filter (where orders >= 3), 6)
        end as regulars_holiday_season_share,
        mode(favorite_category, true) as favorite_category,
        mode(membership_level, true) as membership_level
    from members
    group by grouping sets ((cluster), ())
)

select * from final
