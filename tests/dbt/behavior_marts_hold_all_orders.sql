-- Fails when a mart of all orders, guests included, has lost orders, or has other revenue than the orders.
-- An order counts in each of its categories and payment methods. So in these two marts, the number of orders
-- is between the largest row and the sum of all rows. Other tests compare the remaining marts.
with orders as (
    select
        count_if(is_purchase) as orders,
        {{ money('coalesce(sum(net_cents), 0)') }} as net_revenue
    from {{ ref('int_orders') }}
),

marts as (
    select
        'purchases_by_category' as mart,
        max(orders) as at_least,
        sum(orders) as at_most,
        sum(net_revenue) as net_revenue
    from {{ ref('purchases_by_category') }}
    union all
    select
        'purchases_by_payment_method' as mart,
        max(orders) as at_least,
        sum(orders) as at_most,
        sum(net_revenue) as net_revenue
    from {{ ref('purchases_by_payment_method') }}
    union all
    select
        'purchases_by_weekday_hour' as mart,
        sum(orders) as at_least,
        sum(orders) as at_most,
        sum(net_revenue) as net_revenue
    from {{ ref('purchases_by_weekday_hour') }}
),

final as (
    select
        marts.*,
        orders.orders as expected_orders,
        orders.net_revenue as expected_net_revenue
    from marts
    cross join orders
    where
        orders.orders not between coalesce(marts.at_least, 0) and coalesce(marts.at_most, 0)
        or orders.net_revenue <> coalesce(marts.net_revenue, 0)
)

select * from final
