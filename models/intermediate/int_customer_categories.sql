{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with transactions as (
    select * from {{ ref('int_transactions') }}
),

-- One row per order and category, because an order counts once in each of its categories.
order_categories as (
    select
        customer_key,
        is_guest,
        order_key,
        coalesce(product_category, 'Unknown') as product_category,
        max(is_purchase) as is_purchase,
        sum(quantity_thousandths) as units_thousandths,
        sum(case when amount_cents > 0 then amount_cents else 0 end) as gross_cents,
        sum(case when amount_cents < 0 then -amount_cents else 0 end) as returned_cents
    from transactions
    group by customer_key, is_guest, order_key, coalesce(product_category, 'Unknown')
),

final as (
    select
        customer_key,
        is_guest,
        product_category,
        count_if(is_purchase) as orders,
        sum(units_thousandths) as units_thousandths,
        sum(gross_cents) as gross_cents,
        sum(returned_cents) as returned_cents,
        sum(gross_cents - returned_cents) as net_cents
    from order_categories
    group by customer_key, is_guest, product_category
)

select * from final
