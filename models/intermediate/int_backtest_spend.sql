with histories as (
    select * from {{ ref('int_customer_histories') }}
),

customers as (
    select count(*) as customers from {{ ref('int_customer_purchase_history') }}
),

-- Customers who returned all of their repeat purchases are left out: the model knows no spend of 0
-- or less.
final as (
    select /*+ broadcast(customers) */
        histories.origin_on,
        histories.repeat_purchase_days,
        histories.repeat_net_cents,
        count(*) as customers
    from histories
    cross join customers
    where
        histories.repeat_purchase_days > 0
        and histories.repeat_net_cents > 0
        and {{ is_in_fit_sample('histories.customer_key', 'customers.customers') }}
    group by histories.origin_on, histories.repeat_purchase_days, histories.repeat_net_cents
)

select * from final
