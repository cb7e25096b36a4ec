{%- set window_days = var('window_days') -%}
{%- set holdout_days = var('holdout_days') -%}
{#- Below these a finding is not made: a rate of few is chance, and a small share no matter. -#}
{%- set enough = 30 -%}
{%- set material_share = 0.1 -%}

with customers as (
    select * from {{ ref('customers') }}
),

customers_at_risk as (
    select * from {{ ref('customers_at_risk') }}
),

playbook as (
    select * from {{ ref('segment_playbook') }}
),

validation as (
    select * from {{ ref('segment_validation') }}
),

categories as (
    select * from {{ ref('purchases_by_category') }}
),

summary as (
    select * from {{ ref('executive_summary') }}
),

orders as (
    select * from {{ ref('int_orders') }}
),

data_period as (
    select * from {{ ref('int_data_period') }}
),

segments as (
    select
        segment,
        count(*) as customers,
        count_if(orders = 1) as one_order_customers,
        sum(orders) as orders,
        cast(round(avg(recency_days)) as bigint) as average_recency_days,
        sum(net_revenue) as net_revenue,
        coalesce(sum(value_at_stake), 0) as value_at_stake
    from customers
    group by segment
),

total as (
    select
        sum(customers) as customers,
        sum(net_revenue) as net_revenue
    from segments
),

-- Parts that are null, because there is nothing to say, are left out of the sentence.
segment_findings as (
    select
        segments.segment as audience,
        concat_ws(
            '; ',
            concat(
                {{ counted('segments.customers', 'customer') }},
                case
                    when segments.orders = 0 then ' placed no purchase order so far'
                    else concat(
                        ' brought ', format_number(segments.net_revenue, 2), ' of net revenue'
                    )
                end,
                -- No share of all customers, and none beyond the whole where others returned more than
                -- they bought.
                case
                    when
                        segments.customers < total.customers
                        and segments.net_revenue between 0.01 and total.net_revenue
                        then concat(
                            ', ',
                            {{ percentage(share('segments.net_revenue', 'total.net_revenue')) }},
                            ' of what all customers brought'
                        )
                    else ''
                end
            ),
            concat(
                'their last order was ',
                {{ counted('segments.average_recency_days', 'day') }},
                if(segments.customers = 1, ' ago', ' ago on average')
            ),
            case
                when segments.one_order_customers = 0 then null
                when segments.customers = 1 then 'they ordered once'
                when segments.one_order_customers = segments.customers
                    then 'all of them ordered once'
                else concat(format_number(segments.one_order_customers, 0), ' of them ordered once')
            end,
            case
                when validation.customers >= {{ enough }}
                    then concat(
                        'of the ',
                        {{ counted('validation.customers', 'customer') }},
                        ' in the segment {{ holdout_days }} days earlier, ',
                        {{ percentage('validation.repurchase_rate') }},
                        ' ordered again'
                    )
            end
        ) as finding,
        playbook.recommended_action as action,
        segments.customers,
        segments.value_at_stake
    from segments
    left join playbook on segments.segment = playbook.segment
    left join validation on segments.segment = validation.segment
    cross join total
),

risk_findings as (
    select
        'High-value customers at high risk' as audience,
        concat(
            {{ counted('count(*)', 'customer') }},
            ' with a monetary score of 4 or 5 placed the last order ',
            {{ counted('cast(round(avg(recency_days)) as bigint)', 'day') }},
            if(count(*) = 1, ' ago', ' ago on average'),
            '; ',
            format_number(sum(value_at_stake), 2),
            ' a year is at stake'
        ) as finding,
        'Win them back one by one, those with the most at stake first.' as action,
        count(*) as customers,
        sum(value_at_stake) as value_at_stake
    from customers_at_risk
),

active_customers as (
    select
        cast(value as bigint) as customers,
        cast(previous_value as bigint) as previous_customers,
        change_rate
    from summary
    where metric = 'active_customers'
),

-- Active in the window before, as the executive summary counts it, and not in the last one.
lapsed_customers as (
    select
        count(*) as customers,
        sum(value_at_stake) as value_at_stake
    from customers
    where recency_days div {{ window_days }} = 1
),

activity_findings as (
    select
        'Recently lapsed customers' as audience,
        concat(
            'Active customers fell by ',
            {{ percentage('-active_customers.change_rate') }},
            ', from ',
            format_number(active_customers.previous_customers, 0),
            ' in the {{ window_days }} days before to ',
            format_number(active_customers.customers, 0),
            ' in the last {{ window_days }} days; ',
            {{ counted('lapsed_customers.customers', 'customer') }},
            ' active then placed no order since'
        ) as finding,
        'Remind them now, in their favorite category, before the gap grows.' as action,
        lapsed_customers.customers,
        lapsed_customers.value_at_stake
    from active_customers
    cross join lapsed_customers
    where active_customers.customers < active_customers.previous_customers
),

history as (
    select
        datediff(max(data_period.last_on), max(data_period.first_on)) as days,
        count_if(orders.is_guest and orders.is_purchase) as guest_orders,
        {{ money('sum(orders.net_cents) filter (where orders.is_guest)') }} as guest_revenue,
        {{ money('sum(orders.net_cents)') }} as net_revenue
    from orders
    cross join data_period
),

guest_findings as (
    select
        'Guests' as audience,
        concat(
            'Guests placed ',
            {{ counted('guest_orders', 'purchase order') }},
            ' and brought ',
            {{ percentage(share('guest_revenue', 'net_revenue')) }},
            ' of all net revenue'
        ) as finding,
        'Offer an account at the checkout: who is known can be thanked and won back.' as action,
        cast(null as bigint) as customers,
        {{ yearly_pace('guest_revenue', 'days') }} as value_at_stake
    from history
    where guest_revenue > 0 and guest_revenue >= {{ material_share }} * net_revenue
),

all_categories as (
    select
        sum(gross_revenue) as gross_revenue,
        sum(returned_revenue) as returned_revenue
    from categories
),

-- At stake is what comes back beyond the overall rate. The five with most at stake are more than
-- enough to begin with.
return_findings as (
    select
        concat('Buyers of ', categories.product_category) as audience,
        concat(
            'Returns take back ',
            {{ percentage('categories.return_rate') }},
            ' of the gross revenue of ',
            categories.product_category,
            ', against ',
            {{ percentage(
                share('all_categories.returned_revenue', 'all_categories.gross_revenue')
            ) }},
            ' over all categories'
        ) as finding,
        'Ask for the reason of each return, and mend what is sold or described wrongly.' as action,
        categories.customers,
        {{ yearly_pace(
            'categories.returned_revenue - categories.gross_revenue'
            ~ ' * all_categories.returned_revenue / all_categories.gross_revenue',
            'history.days'
        ) }} as value_at_stake
    from categories
    cross join all_categories
    cross join history
    where
        categories.product_category <> 'Unknown'
        and categories.orders >= {{ enough }}
        and categories.returned_revenue > 0
        and categories.returned_revenue * all_categories.gross_revenue
        >= 2 * categories.gross_revenue * all_categories.returned_revenue
    order by value_at_stake desc, audience asc
    limit 5
),

findings as (
    select * from segment_findings
    union all
    select * from risk_findings
    union all
    select * from activity_findings
    union all
    select * from guest_findings
    union all
    select * from return_findings
),

final as (
    select
        cast(row_number() over (order by value_at_stake desc, audience asc) as int) as priority,
        audience,
        concat(finding, '.') as finding,
        action,
        customers,
        cast(value_at_stake as decimal(18, 2)) as value_at_stake
    from findings
    -- Guests cannot be counted.
    where customers > 0 or customers is null
)

select * from final
