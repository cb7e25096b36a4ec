with orders as (
    select * from {{ ref('int_orders') }}
),

final as (
    select
        cast(extract(dayofweek_iso from ordered_on) as int) as weekday,
        hour(ordered_at) as hour,
        count_if(is_purchase) as orders,
        count_if(is_purchase and ordered_at > cast(ordered_on as timestamp)) as timed_orders,
        {{ money('sum(net_cents)') }} as net_revenue
    from orders
    group by extract(dayofweek_iso from ordered_on), hour(ordered_at)
)

select * from final
