-- Revenue is each successful charge, in the currency of the Stripe account, with shipping and tax if they
-- were charged. A refund is a negative line on its own day, and an order of its own.

with charges as (
    select * from source
    where
        lower(captured) = 'true'
        and lower(status) in ('paid', 'refunded')
        -- These analyses know one currency. If the account is paid out in several, keep one:
        -- and `converted currency` = 'usd'
),

payments as (
    select
        id as transaction_id,
        id as order_id,
        coalesce(nullif(`customer id`, ''), lower(trim(`customer email`))) as customer_id,
        `created date (utc)` as ordered_at,
        1 as quantity,
        `converted amount` as amount
    from charges
),

-- The amount stays a text, so that the load reads 5.00 and 5,00. If a charge has several refunds, the export
-- has only their sum and the day of the last one.
refunds as (
    select
        concat(id, '-refund') as transaction_id,
        concat(id, '-refund') as order_id,
        coalesce(nullif(`customer id`, ''), lower(trim(`customer email`))) as customer_id,
        `refunded date (utc)` as ordered_at,
        -1 as quantity,
        concat('-', `converted amount refunded`) as amount
    from charges
    where `refunded date (utc)` <> ''
),

final as (
    select * from payments
    union all
    select * from refunds
)

select * from final
