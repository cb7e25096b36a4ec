with orders as (
    select * from {{ ref('int_orders') }}
),

categories as (
    select * from {{ ref('purchases_by_category') }}
),

data_period as (
    select * from {{ ref('int_data_period') }}
),

days_covered as (
    select datediff(last_on, first_on) + 1 as days
    from data_period
),

guest_sales as (
    select
        count_if(is_guest and is_purchase) as guest_orders,
        {{ money('sum(net_cents) filter (where is_guest)') }} as guest_revenue,
        {{ money('sum(net_cents)') }} as net_revenue
    from orders
),

guest_findings as (
    select
        'guests' as audience_type,
        cast(null as string) as subject,
        concat(
            'Guests placed ',
            {{ counted('guest_sales.guest_orders', 'purchase order') }},
            ' and brought ',
            {{ percentage(share('guest_sales.guest_revenue', 'guest_sales.net_revenue')) }},
            ' of all net revenue'
        ) as finding,
        -- Guests cannot be counted: the same person may buy twice.
        cast(null as bigint) as customers,
        {{ yearly_pace('guest_sales.guest_revenue', 'days_covered.days') }} as value_at_stake
    from guest_sales
    cross join days_covered
    where
        guest_sales.guest_revenue > 0
        -- Returns of customers can push the share above 100%.
        and guest_sales.guest_revenue <= guest_sales.net_revenue
        and guest_sales.guest_revenue >= {{ var('material_share') }} * guest_sales.net_revenue
),

all_categories as (
    select
        sum(gross_revenue) as gross_revenue,
        sum(returned_revenue) as returned_revenue
    from categories
),

-- The value at stake is the amount of returns beyond the overall rate.
return_findings as (
    select
        'category_buyers' as audience_type,
        categories.product_category as subject,
        concat(
            'Returns were ',
            {{ percentage('categories.return_rate') }},
            ' of the gross revenue of ',
            categories.product_category,
            ', compared with ',
            {{ percentage(
                share('all_categories.returned_revenue', 'all_categories.gross_revenue')
            ) }},
            ' across all categories'
        ) as finding,
        categories.customers,
        {{ yearly_pace(
            'categories.returned_revenue - categories.gross_revenue'
            ~ ' * all_categories.returned_revenue / all_categories.gross_revenue',
            'days_covered.days'
        ) }} as value_at_stake
    from categories
    cross join all_categories
    cross join days_covered
    where
        categories.product_category <> 'Unknown'
        -- Nobody can be asked about a category that only guests buy.
        and categories.customers > 0
        and categories.orders >= {{ var('minimum_sample') }}
        and categories.gross_revenue > 0
        and categories.returned_revenue > 0
        -- At least twice the overall rate, without a division.
        and categories.returned_revenue * all_categories.gross_revenue
        >= 2 * categories.gross_revenue * all_categories.returned_revenue
    order by value_at_stake desc, subject asc
    limit {{ var('most_returned_categories') }}
),

final as (
    select * from guest_findings
    union all
    select * from return_findings
)

select * from final
