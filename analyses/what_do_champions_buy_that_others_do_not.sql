-- Which categories do Champions buy that the other customers do not?
--
-- Read: an order_share_index of 1.5 means that the category's share is 50% larger among the Champions'
-- orders than among the orders of the other customers, without guests. An order counts once in each of
-- its categories. A category without an order of the others has no index and is at the end.
-- Beware: with fewer than about thirty champion_orders, the index can be chance. It does not show
-- why customers become Champions.

with purchases as (
    select * from {{ ref('purchases_by_segment_category') }}
),

categories as (
    select
        product_category,
        sum(case when segment = 'Champions' then orders else 0 end) as champion_orders,
        sum(case when segment = 'Champions' then 0 else orders end) as other_orders
    from purchases
    group by product_category
),

order_shares as (
    select
        product_category,
        champion_orders,
        other_orders,
        {{ share('champion_orders', 'sum(champion_orders) over ()') }} as champion_order_share,
        {{ share('other_orders', 'sum(other_orders) over ()') }} as other_order_share
    from categories
),

final as (
    select
        product_category,
        champion_orders,
        other_orders,
        champion_order_share,
        other_order_share,
        {{ share('champion_order_share', 'other_order_share') }} as order_share_index
    from order_shares
)

select * from final
order by order_share_index desc, product_category asc
