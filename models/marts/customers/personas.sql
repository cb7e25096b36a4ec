with clusters as (
    select * from {{ source('ml', 'customer_clusters') }}
),

centres as (
    select * from {{ source('ml', 'cluster_centres') }}
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

profiles as (
    select
        clusters.cluster,
        count(*) as customers,
        sum(customers.net_revenue) as net_revenue,
        sum(customers.orders) as orders,
        {{ share('sum(customers.age)', 'count(customers.age)') }} as average_age,
        {{ share('sum(customers.recency_days)', 'count(*)') }} as average_recency_days,
        {{ share('sum(customers.orders)', 'count(*)') }} as average_orders,
        {{ share('sum(customers.net_revenue)', 'sum(customers.orders)') }} as average_order_value,
        {{ share('sum(customers.units)', 'sum(customers.orders)') }} as average_units_per_order,
        {{ share('sum(customers.category_count)', 'count(*)') }} as average_category_count,
        -- Rounded: the last digits of a sum of fractions depend on the order of the rows.
        round(avg(customers.weekend_order_share), 6) as weekend_order_share,
        round(avg(customers.holiday_season_order_share), 6) as holiday_season_order_share,
        mode(customers.favourite_category, true) as favourite_category,
        mode(customers.membership_level, true) as membership_level
    from clusters
    inner join customers on clusters.customer_key = customers.customer_key
    -- Clusters of another as-of date describe other customers than the ones of this mart.
    inner join as_of on clusters.as_of_date = as_of.as_of_date
    group by clusters.cluster
),

-- What sets a cluster apart: the traits of its centre, the most unusual first. That few have a level
-- is no trait, that many have it is.
ranked_traits as (
    select /*+ broadcast(traits) */
        centres.cluster,
        traits.word_order,
        {{ with_level('traits.adjective', 'centres.level') }} as adjective,
        {{ with_level('traits.recommended_action', 'centres.level') }} as recommended_action,
        row_number() over (
            partition by centres.cluster
            order by
                abs(centres.standardised_value) * sqrt(centres.weight) desc,
                traits.adjective asc,
                centres.level asc
        ) as trait_number
    from centres
    inner join traits
        on
            centres.feature = traits.feature
            and traits.direction = case
                when centres.level is not null and centres.standardised_value > 0 then 'level'
                when centres.level is null and centres.standardised_value >= 0 then 'high'
                when centres.level is null then 'low'
            end
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
-- they share that too, their number.
short_names as (
    select
        *,
        concat(array_join(transform(two_traits, trait -> trait.adjective), ' '), ' Shoppers') as short_name,
        concat(array_join(transform(three_traits, trait -> trait.adjective), ' '), ' Shoppers') as long_name
    from trait_names
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
            concat('mostly ', profiles.favourite_category),
            format_string(
                '%.0f%% of orders on weekends, %.0f%% in November and December',
                100 * profiles.weekend_order_share,
                100 * profiles.holiday_season_order_share
            ),
            case
                when profiles.average_age is not null
                    then format_string('%.0f years old on average', profiles.average_age)
            end,
            concat('membership mostly ', profiles.membership_level)
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
        profiles.favourite_category,
        profiles.membership_level
    from profiles
    inner join names on profiles.cluster = names.cluster
)

select * from final
