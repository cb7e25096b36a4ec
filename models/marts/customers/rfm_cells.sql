with cells as (
    select * from {{ ref('rfm_segments') }}
),

customers as (
    select * from {{ ref('customer_rfm') }}
),

cell_customers as (
    select
        r_score,
        f_score,
        count(*) as customers,
        sum(monetary) as net_revenue
    from customers
    group by r_score, f_score
),

final as (
    select
        cells.r_score,
        cells.f_score,
        cells.segment,
        coalesce(cell_customers.customers, 0) as customers,
        {{ share('cell_customers.net_revenue', 'cell_customers.customers') }} as average_revenue
    from cells
    left join cell_customers
        on cells.r_score = cell_customers.r_score and cells.f_score = cell_customers.f_score
)

select * from final
