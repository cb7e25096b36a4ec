-- What share of the revenue comes from guests, who are in no customer table?
--
-- Read: a rising guest_share means that the customer marts explain less and less of the revenue.
-- Beware: a guest may be a customer who did not log in. The first and last quarter may be partial.

with months as (
    select * from {{ ref('monthly_revenue') }}
),

quarters as (
    select
        cast(date_trunc('quarter', month) as date) as quarter,
        sum(net_revenue) as net_revenue,
        sum(guest_revenue) as guest_revenue
    from months
    group by cast(date_trunc('quarter', month) as date)
),

final as (
    select
        quarter,
        cast(net_revenue as decimal(18, 2)) as net_revenue,
        cast(guest_revenue as decimal(18, 2)) as guest_revenue,
        -- Null if the net revenue is 0 or negative, because a share of it has no meaning.
        {{ share('guest_revenue', 'greatest(net_revenue, 0)') }} as guest_share
    from quarters
)

select * from final
order by quarter
