with profiles as (
    select * from {{ ref('int_cluster_profiles') }}
    where cluster is not null
),

traits as (
    select * from {{ ref('int_cluster_traits') }}
),

cluster_words as (
    select
        cluster,
        array_sort(collect_list(struct(word_order, adjective)) filter (where trait_number <= 2))
            as two_words,
        array_sort(collect_list(struct(word_order, adjective)) filter (where trait_number <= 3))
            as three_words,
        max(recommended_action) filter (where trait_number = 1) as recommended_action
    from traits
    group by cluster
),

-- A cluster without a trait has no words.
names as (
    select
        profiles.cluster,
        concat(coalesce(array_join(cluster_words.two_words.adjective, ' '), 'Mixed'), ' Shoppers')
            as short_name,
        concat(coalesce(array_join(cluster_words.three_words.adjective, ' '), 'Mixed'), ' Shoppers')
            as long_name,
        coalesce(
            cluster_words.recommended_action,
            'No trait sets these customers apart: use the actions of their segments.'
        ) as recommended_action
    from profiles
    left join cluster_words on profiles.cluster = cluster_words.cluster
),

-- The two strongest traits name a persona. Clusters that share both also get the third.
distinct_names as (
    select
        cluster,
        recommended_action,
        if(count(*) over (partition by short_name) = 1, short_name, long_name) as distinct_name
    from names
),

-- Clusters that share all three also get their number.
unique_names as (
    select
        cluster,
        recommended_action,
        if(
            count(*) over (partition by distinct_name) = 1,
            distinct_name,
            concat(distinct_name, ' ', cluster)
        ) as persona
    from distinct_names
),

final as (
    select
        unique_names.persona,
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
            concat('most common favorite category ', profiles.favorite_category),
            format_string(
                'on average %.0f%% of their orders on weekends, %.0f%% in November and December',
                100 * profiles.weekend_order_share,
                100 * profiles.holiday_season_order_share
            ),
            if(
                profiles.average_age is not null,
                format_string('%.0f years old on average', profiles.average_age),
                null
            ),
            concat('most common membership level ', profiles.membership_level)
        ) as description,
        unique_names.recommended_action,
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
    inner join unique_names on profiles.cluster = unique_names.cluster
)

select * from final
