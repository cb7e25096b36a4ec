-- Revenue is the goods of each purchase event, without shipping and tax. A refund event is a negative line
-- on its own day, and an order of its own. The customer is the user_id, or without it the browser.

with events as (
    select
        events.event_name,
        events.event_timestamp,
        coalesce(events.user_id, events.user_pseudo_id) as customer_id,
        nullif(nullif(trim(events.ecommerce.transaction_id), ''), '(not set)') as order_id,
        events.ecommerce.purchase_revenue,
        events.ecommerce.refund_value,
        events.items
    from source as events
    where events.event_name in ('purchase', 'refund')
),

-- An event may come without items, such as the refund of a whole order. Then its total is the amount of its
-- only line.
items as (
    select
        events.*,
        exploded.position,
        exploded.item.item_id,
        exploded.item.item_category,
        exploded.item.quantity,
        exploded.item.price * exploded.item.quantity as goods,
        exploded.item.item_revenue,
        exploded.item.item_refund
    from events
        lateral view outer posexplode(items) exploded as position, item
),

sales as (
    select
        -- A purchase page that is opened again sends its event again; the load keeps one of the two.
        concat(order_id, '-', coalesce(position, 0)) as transaction_id,
        order_id,
        customer_id,
        timestamp_micros(event_timestamp) as ordered_at,
        item_id as product_id,
        item_category as product_category,
        quantity,
        coalesce(item_revenue, goods, if(position is null, purchase_revenue, null)) as amount
    from items
    where event_name = 'purchase'
),

-- An order can have several refunds.
refunds as (
    select
        concat(order_id, '-refund-', event_timestamp, '-', coalesce(position, 0)) as transaction_id,
        concat(order_id, '-refund-', event_timestamp) as order_id,
        customer_id,
        timestamp_micros(event_timestamp) as ordered_at,
        item_id as product_id,
        item_category as product_category,
        -quantity as quantity,
        -coalesce(item_refund, goods, if(position is null, refund_value, null)) as amount
    from items
    where event_name = 'refund'
),

final as (
    select * from sales
    union all
    select * from refunds
)

select * from final
