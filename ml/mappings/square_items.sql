-- Revenue is Net Sales: goods after discounts, without tax and tips. A refund is a negative line of the
-- file, on its own day. Times are local to the shop and are not converted.

with items as (
    select * from source
    -- These analyses know one currency. With locations in several countries, keep one:
    -- where location = 'Main Street'
),

final as (
    select
        concat_ws(
            '-',
            `transaction id`,
            `payment id`,
            row_number() over (
                partition by `transaction id`, `payment id`
                order by
                    item, `price point name`, sku, `modifiers applied`, qty, `net sales`, tax
            )
        ) as transaction_id,
        -- A refund has the id of the purchase, but belongs to its own day.
        case
            when lower(`event type`) = 'refund' then concat(`transaction id`, '-', `payment id`)
            else `transaction id`
        end as order_id,
        `customer id` as customer_id,
        concat(date, ' ', time) as ordered_at,
        coalesce(nullif(sku, ''), concat_ws(', ', item, nullif(`price point name`, ''))) as product_id,
        category as product_category,
        qty as quantity,
        `net sales` as amount
    from items
)

select * from final
