-- Revenue is the goods of an order after all discounts: its Subtotal, without shipping. A refund is a
-- negative line on the day of the order, because the export has no date of a refund. Canceled and
-- voided orders are left out.

-- Only the first line of an order has its totals; on the others these fields are blank.
with orders as (
    select
        name as order_id,
        lower(trim(max(email))) as customer_id,
        max(`created at`) as ordered_at,
        max(`payment method`) as payment_method,
        -- Null unless the file has one first line of the order. Its lines are then rejected: missing_amount.
        case when count_if(subtotal <> '') = 1 then cast(max(subtotal) as decimal(18, 2)) end as subtotal,
        cast(max(`refunded amount`) as decimal(18, 2)) as refunded
    from source
    group by name
    having
        coalesce(max(`cancelled at`), '') = ''
        and coalesce(max(`financial status`), '') <> 'voided'
        -- These analyses know one currency. With several in the file, keep one:
        -- and max(currency) = 'USD'
        -- To count only orders that are paid:
        -- and max(`financial status`) not in ('pending', 'authorized', 'expired')
),

lines as (
    select
        name as order_id,
        coalesce(nullif(`lineitem sku`, ''), `lineitem name`) as product_id,
        `lineitem quantity` as quantity,
        cast(`lineitem price` as decimal(18, 2)) * cast(`lineitem quantity` as decimal(18, 3))
        - coalesce(cast(`lineitem discount` as decimal(18, 2)), 0) as goods,
        row_number() over (
            partition by name
            order by
                `lineitem name`, `lineitem sku`, `lineitem price`, `lineitem quantity`,
                `lineitem discount`
        ) as line_number
    from source
    where `lineitem name` <> ''
),

lines_in_order as (
    select
        *,
        sum(goods) over (partition by order_id) as order_goods,
        sum(goods) over (partition by order_id order by line_number) as goods_so_far
    from lines
),

-- A discount of the whole order is spread over its lines in proportion. The running total is rounded, not
-- the line: so the lines of an order add up to its Subtotal, to the cent.
sales as (
    select
        concat(orders.order_id, '-', lines.line_number) as transaction_id,
        orders.order_id,
        orders.customer_id,
        orders.ordered_at,
        lines.product_id,
        lines.quantity,
        case
            when lines.order_goods = 0 then 0
            else
                round(orders.subtotal * lines.goods_so_far / lines.order_goods, 2)
                - round(orders.subtotal * (lines.goods_so_far - lines.goods) / lines.order_goods, 2)
        end as amount,
        orders.payment_method
    from lines_in_order as lines
    inner join orders on lines.order_id = orders.order_id
),

-- A refund may include shipping and tax, which are no revenue here.
refunds as (
    select
        concat(order_id, '-refund') as transaction_id,
        order_id,
        customer_id,
        ordered_at,
        cast(null as string) as product_id,
        '-1' as quantity,
        -least(refunded, subtotal) as amount,
        payment_method
    from orders
    -- Without a subtotal the sales of the order are rejected, and so its refund must not count.
    where refunded > 0 and subtotal is not null
),

final as (
    select * from sales
    union all
    select * from refunds
)

select * from final
