-- What do we lose to returns, and in which categories?
--
-- Read: a share_of_returns above revenue_share marks a category with more returns than average.
-- Beware: recent purchases can still be returned. The cost of handling returns is not included.

with categories as (
    select * from {{ ref('purchases_by_category') }}
),

-- net = gross - returned and return_rate = returned / gross, solved for returned.
returns as (
    select
        product_category,
        net_revenue,
        revenue_share,
        return_rate,
        cast({{ share('net_revenue * return_rate', '(1 - return_rate)') }} as decimal(18, 2))
            as returned_revenue
    from categories
),

final as (
    select
        product_category,
        net_revenue,
        revenue_share,
        return_rate,
        returned_revenue,
        {{ share('returned_revenue', 'sum(returned_revenue) over ()') }} as share_of_returns
    from returns
)

select * from final
order by returned_revenue desc, product_category asc
