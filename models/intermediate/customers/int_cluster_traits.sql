with members as (
    select * from {{ ref('int_cluster_members') }}
),

profiles as (
    select * from {{ ref('int_cluster_profiles') }}
),

centers as (
    select * from {{ source('ml', 'cluster_centers') }}
),

traits as (
    select * from {{ ref('persona_traits') }}
),

averages as (
    select
        cluster,
        stack(
            8,
            'age', average_age,
            'recency_days', average_recency_days,
            'orders', average_orders,
            'average_order_value', average_order_value,
            'units_per_order', average_units_per_order,
            'category_count', average_category_count,
            'weekend_order_share', regulars_weekend_share,
            'holiday_season_order_share', regulars_holiday_season_share
        ) as (feature, average)
    from profiles
),

-- A customer counts in one category and one payment method only: the favorite ones.
member_levels as (
    select
        cluster,
        stack(
            5,
            'gender', gender,
            'membership_level', membership_level,
            'payment_method', favorite_payment_method,
            'region', region,
            'category', favorite_category
        ) as (feature, level)
    from members
),

level_counts as (
    select
        cluster,
        feature,
        level,
        count(*) as customers,
        sum(count(*)) over (partition by feature, level) as customers_overall
    from member_levels
    where level is not null
    group by cluster, feature, level
),

-- The average of each feature in its own unit (days, orders, money), as in the bounds of the seed.
-- For a level, the average is the share of customers with that level, or with it as the favorite.
measures as (
    select
        averages.cluster,
        averages.feature,
        cast(null as string) as level,
        averages.average,
        -- A multiple of an average below zero has no meaning.
        nullif(greatest(overall.average, 0), 0) as overall_average
    from averages
    inner join averages as overall on averages.feature = overall.feature
    where averages.cluster is not null and overall.cluster is null
    union all
    select
        level_counts.cluster,
        level_counts.feature,
        level_counts.level,
        {{ share('level_counts.customers', 'profiles.customers') }} as average,
        {{ share('level_counts.customers_overall', 'overall.customers') }} as overall_average
    from level_counts
    inner join profiles on level_counts.cluster = profiles.cluster
    inner join profiles as overall on overall.cluster is null
),

-- A level is a trait only if the cluster has more of it than the average customer.
center_directions as (
    select
        cluster,
        feature,
        level,
        case
            when level is not null and standardized_value > 0 then 'level'
            when level is null and standardized_value >= 0 then 'high'
            when level is null then 'low'
        end as direction,
        abs(standardized_value) * sqrt(weight) as distance
    from centers
),

-- A center tells how a cluster differs from the average customer. The bounds keep only words that
-- are true of the cluster by itself: customers with 7 orders are not one-time buyers, even if all
-- others have 8.
final as (
    select /*+ broadcast(traits) */
        center_directions.cluster,
        row_number() over (
            partition by center_directions.cluster
            order by
                center_directions.distance desc, traits.adjective asc, center_directions.level asc
        ) as trait_number,
        traits.word_order,
        {{ with_level('traits.adjective', 'center_directions.level') }} as adjective,
        {{ with_level('traits.recommended_action', 'center_directions.level') }}
            as recommended_action
    from center_directions
    inner join traits
        on
            center_directions.feature = traits.feature
            and center_directions.direction = traits.direction
    inner join measures
        on
            center_directions.cluster = measures.cluster
            and center_directions.feature = measures.feature
            and center_directions.level is not distinct from measures.level
    where
        (traits.above is null or measures.average > traits.above)
        and (traits.below is null or measures.average < traits.below)
        and (
            traits.times_average_above is null
            or measures.average > traits.times_average_above * measures.overall_average
        )
        and (
            traits.times_average_below is null
            or measures.average < traits.times_average_below * measures.overall_average
        )
)

select * from final
