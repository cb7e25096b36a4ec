with clusters as (
    select * from {{ source('ml', 'customer_clusters') }}
),

centers as (
    select * from {{ source('ml', 'cluster_centers') }}
),

customers as (
    select * from {{ ref('customer_features') }}
),

as_of as (
    select * from {{ ref('int_as_of_date') }}
),

traits as (
    select * from {{ ref('persona_traits') }}
),

members as (
    select
        clusters.cluster,
        customers.*
    from clusters
    inner join customers on clusters.customer_key = customers.customer_key
    -- Clusters of another as-of date describe other customers than the ones of this mart.
    inner join as_of on clusters.as_of_date = as_of.as_of_date
),

-- One row per cluster, and one without a cluster: all customers, to compare with.
profiles as (
    select
        cluster,
        count(*) as customers,
        sum(net_revenue) as net_revenue,
        {{ share('sum(age)', 'count(age)') }} as average_age,
        {{ share('sum(recency_days)', 'count(*)') }} as average_recency_days,
        {{ share('sum(orders)', 'count(*)') }} as average_orders,
        {{ share('sum(net_revenue)', 'sum(orders)') }} as average_order_value,
        {{ share('sum(units)', 'sum(orders)') }} as average_units_per_order,
        {{ share('sum(category_count)', 'count(*)') }} as average_category_count,
        -- Rounded: the last digits of a sum of fractions depend on the order of the rows.
        round(avg(weekend_order_share), 6) as weekend_order_share,
        round(avg(holiday_season_order_share), 6) as holiday_season_order_share,
        mode(favorite_category, true) as favorite_category,
        mode(membership_level, true) as membership_level
    from members
    group by grouping sets ((cluster), ())
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
            'weekend_order_share', weekend_order_share,
            'holiday_season_order_share', holiday_season_order_share
        ) as (feature, average)
    from profiles
),

levels as (
    select
        cluster,
        stack(
            5,
            'gender', gender,
            'membership_level', membership_level,
            'favorite_payment_method', favorite_payment_method,
            'region', region,
            'favorite_category', favorite_category
        ) as (feature, level)
    from members
),

level_counts as (
    select
        cluster,
        feature,
        level,
        count(*) as customers
    from levels
    where level is not null
    group by cluster, feature, level
),

-- What each cluster is, in the customers' own units, beside what all customers are.
measures as (
    select
        averages.cluster,
        averages.feature,
        cast(null as string) as level,
        averages.average,
        -- Many times an average below zero says nothing.
        nullif(greatest(overall.average, 0), 0) as overall_average
    from averages
    inner join averages as overall
        on
            averages.feature = overall.feature
            and overall.cluster is null
    where averages.cluster is not null
    union all
    select
        level_counts.cluster,
        level_counts.feature,
        level_counts.level,
        {{ share('level_counts.customers', 'profiles.customers') }} as average,
        cast(null as double) as overall_average
    from level_counts
    inner join profiles on level_counts.cluster = profiles.cluster
),

-- What sets a cluster apart, the most unusual first: what its center is far from the average customer
-- in, if the word for it is true of the cluster and not just truer than of the others. That few have
-- a level is no trait, that many have it is.
ranked_traits as (
    select /*+ broadcast(traits) */
        centers.cluster,
        traits.word_order,
        {{ with_level('traits.adjective', 'centers.level') }} as adjective,
        {{ with_level('traits.recommended_action', 'centers.level') }} as recommended_action,
        row_number() over (
            partition by centers.cluster
            order by
                abs(centers.standardized_value) * sqrt(centers.weight) desc,
                traits.adjective asc,
                centers.level asc
        ) as trait_number
    from centers
    inner join traits
        on
            centers.feature = traits.feature
            and traits.direction = case
                when centers.level is not null and centers.standardized_value > 0 then 'level'
                when centers.level is null and centers.standardized_value >= 0 then 'high'
                when centers.level is null then 'low'
            end
    inner join measures
        on
            centers.cluster = measures.cluster
            and centers.feature = measures.feature
            and centers.level is not distinct from measures.level
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
),

trait_names as (
    select
        cluster,
        array_sort(collect_list(struct(word_order, adjective)) filter (where trait_number <= 2))
            as two_traits,
        array_sort(collect_list(struct(word_order, adjective)) filter (where trait_number <= 3))
            as three_traits,
        max(case when trait_number = 1 then recommended_action end) as recommended_action
    from ranked_traits
    group by cluster
),

-- Two traits name a persona; where two clusters share both, the third tells them apart, and where
-- they share that too, their number. No word is true of a cluster without a trait.
short_names as (
    select
        profiles.cluster,
        coalesce(
            trait_names.recommended_action,
            'Go by their segments: no trait sets them apart from the others.'
        ) as recommended_action,
        concat(
            coalesce(
                array_join(transform(trait_names.two_traits, trait -> trait.adjective), ' '), 'Mixed'
            ),
            ' Shoppers'
        ) as short_name,
        concat(
            coalesce(
                array_join(transform(trait_names.three_traits, trait -> trait.adjective), ' '),
                'Mixed'
            ),
            ' Shoppers'
        ) as long_name
    from profiles
    left join trait_names on profiles.cluster = trait_names.cluster
    where profiles.cluster is not null
),

distinct_names as (
    select
        *,
        case when count(*) over (partition by short_name) = 1 then short_name else long_name end
            as distinct_name
    from short_names
),

names as (
    select
        cluster,
        recommended_action,
        case
            when count(*) over (partition by distinct_name) = 1 then distinct_name
            else concat(distinct_name, ' ', cluster)
        end as persona
    from distinct_names
),

final as (
    select
        names.persona,
        profiles.cluster,
        profiles.customers,
        {{ share('profiles.customers', 'sum(profiles.customers) over ()') }} as customer_share,
        cast(profiles.net_revenue as decimal(18, 2)) as net_revenue,
        concat_ws(
            '; ',
            format_string(
                '%.1f orders of %.2f on average, the last one %.0f days ago',
                profiles.average_orders,
                profiles.average_order_value,
                profiles.average_recency_days
            ),
            concat('most often ', profiles.favorite_category),
            format_string(
                'on average %.0f%% of their orders on weekends, %.0f%% in November and December',
                100 * profiles.weekend_order_share,
                100 * profiles.holiday_season_order_share
            ),
            case
                when profiles.average_age is not null
                    then format_string('%.0f years old on average', profiles.average_age)
            end,
            concat('membership most often ', profiles.membership_level)
        ) as description,
        names.recommended_action,
        profiles.average_age,
        profiles.average_recency_days,
        profiles.average_orders,
        profiles.average_order_value,
        profiles.average_units_per_order,
        profiles.average_category_count,
        profiles.weekend_order_share,
        profiles.holiday_season_order_share,
        profiles.favorite_category,
        profiles.membership_level
    from profiles
    inner join names on profiles.cluster = names.cluster
)

select * from final
