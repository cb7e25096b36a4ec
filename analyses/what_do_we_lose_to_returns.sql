-- What do we lose to returns, and in which categories?
--
-- Read: a share_of_returns above revenue_share marks a category with more returns than average.
-- Beware: recent purchases can still be returned. The cost of handling returns is not included.

with categories as (
    select * from {{ ref('purchases_by_category') }}
),

final as (
    select
        product_category,
        net_revenue,
        revenue_share,
        return_rate,
        returned_revenue,
        {{ share('returned_revenue', 'sum(returned_revenue) over ()') }} as share_of_returns
    from categories
)

select * from final
order by returned_revenue desc, product_category asc
