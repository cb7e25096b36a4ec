-- Revenue is the total of each order line: after coupons, without tax and shipping. A refund is a negative
-- line on the day of the first refund, and an order of its own. Pending, failed and canceled orders, drafts
-- and trash are left out. Orders on hold count.

with lines as (
    select
        *,
        lower(regexp_replace(`order status`, '^wc-', '')) as status,
        lower(trim(`email (billing)`)) as customer_id,
        coalesce(nullif(sku, ''), `item name`) as product_id,
        `payment method title` as payment_method
    from source
    where
        lower(regexp_replace(`order status`, '^wc-', '')) not in (
            'pending', 'pending payment', 'failed', 'cancelled', 'checkout-draft', 'draft', 'trash'
        )
        -- These analyses know one currency. With several in the file, keep one:
        -- and currency = 'EUR'
),

sales as (
    select
        concat(`order id`, '-', `item id`) as transaction_id,
        `order id` as order_id,
        customer_id,
        `order date` as ordered_at,
        product_id,
        quantity,
        `order line total` as amount,
        payment_method
    from lines
),

-- An order that was set to Refunded as a whole has no refund of its lines.
refunds as (
    select
        concat(`order id`, '-', `item id`, '-refund') as transaction_id,
        concat(`order id`, '-refund') as order_id,
        customer_id,
        coalesce(nullif(`date of first refund`, ''), `order date`) as ordered_at,
        product_id,
        -- The columns do not tell how many items a partial refund returns.
        if(status = 'refunded', concat('-', quantity), '-1') as quantity,
        concat(
            '-', if(status = 'refunded', `order line total`, `order line total refunded`)
        ) as amount,
        payment_method
    from lines
    where
        status = 'refunded'
        or `order line total refunded` rlike '[1-9]'
),

final as (
    select * from sales
    union all
    select * from refunds
)

select * from final
