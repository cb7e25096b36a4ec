with customer_categories as (
    select * from {{ ref('int_customer_categories') }}
),

categories as (
    select
        product_category,
        sum(orders) as orders,
        sum(units_thousandths) as units_thousandths,
        count_if(orders > 0 and not is_guest) as customers,
        sum(gross_cents) as gross_cents,
        sum(returned_cents) as returned_cents,
        sum(net_cents) as net_cents
    from customer_categories
    group by product_category
),

final as (
    select
        product_category,
        orders,
        {{ quantity('units_thousandths') }} as units,
        customers,
        {{ money('gross_cents') }} as gross_revenue,
        {{ money('returned_cents') }} as returned_revenue,
        {{ money('net_cents') }} as net_revenue,
        -- Null if the total is 0 or a loss, because a share of it has no meaning.
        {{ share('net_cents', 'greatest(sum(net_cents) over (), 0)') }} as revenue_share,
        {{ share('returned_cents', 'gross_cents') }} as return_rate
    from categories
)

select * from final
