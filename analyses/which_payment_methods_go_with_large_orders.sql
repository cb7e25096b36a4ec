-- Which payment methods go with large orders?
--
-- Read: a value_index of 1.2 means orders 20% larger than the average over all methods.
-- Beware: the goods may determine both the method and the value. An order paid by two methods counts for
-- each method, with the amounts paid by it.

with payment_methods as (
    select * from {{ ref('purchases_by_payment_method') }}
),

all_methods as (
    select {{ share('sum(net_revenue)', 'sum(orders)') }} as average_order_value
    from payment_methods
),

final as (
    select
        payment_methods.payment_method,
        payment_methods.orders,
        payment_methods.order_share,
        payment_methods.net_revenue,
        payment_methods.average_order_value,
        -- Nothing compares to an average below zero.
        {{ share('payment_methods.average_order_value', 'greatest(all_methods.average_order_value, 0)') }}
            as value_index
    from payment_methods
    cross join all_methods
    where payment_methods.orders > 0
)

select * from final
order by average_order_value desc, payment_method asc
