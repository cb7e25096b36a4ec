-- How did customers move between the segments in the last month of the history?
--
-- Read: share_of_from_segment is the share of the customers in from_segment who are in to_segment now.
-- Beware: scores compare customers with each other, so some move only because others did. Prospects
-- are included only if they bought for the first time.

with moves as (
    select * from {{ ref('segment_migration') }}
),

last_month as (
    select max(month_end) as month_end from moves
),

last_moves as (
    select
        moves.month_end,
        moves.from_segment,
        moves.to_segment,
        moves.customers,
        sum(moves.customers) over (partition by moves.from_segment) as from_segment_customers,
        moves.net_revenue
    from moves
    inner join last_month on moves.month_end = last_month.month_end
),

final as (
    select
        month_end,
        from_segment,
        to_segment,
        from_segment <> to_segment as has_moved,
        customers,
        {{ share('customers', 'from_segment_customers') }} as share_of_from_segment,
        net_revenue
    from last_moves
)

select * from final
order by customers desc, from_segment asc, to_segment asc
