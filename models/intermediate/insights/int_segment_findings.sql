with members as (
    select * from {{ ref('int_audience_members') }}
    where audience_type = 'segment'
),

validation as (
    select * from {{ ref('segment_validation') }}
),

segments as (
    select
        audience_type,
        subject,
        count(*) as customers,
        count_if(orders = 1) as one_order_customers,
        sum(orders) as orders,
        cast(round(avg(recency_days)) as bigint) as average_recency_days,
        sum(net_revenue) as net_revenue,
        coalesce(sum(value_at_stake), 0) as value_at_stake
    from members
    group by audience_type, subject
),

totals as (
    select
        sum(customers) as customers,
        sum(net_revenue) as net_revenue
    from segments
),

-- The parts of the sentence in `finding`. A part that does not apply is null or empty.
phrases as (
    select
        segments.audience_type,
        segments.subject,
        segments.customers,
        segments.value_at_stake,
        concat(
            {{ counted('segments.customers', 'customer') }},
            if(
                segments.orders = 0,
                ' without a purchase so far',
                concat(' brought ', format_number(segments.net_revenue, 2), ' in net revenue')
            )
        ) as revenue,
        -- No share for a segment that has all customers, and none above 100%, which can occur if
        -- another segment has negative revenue.
        if(
            segments.customers < totals.customers
            and segments.net_revenue between 0.01 and totals.net_revenue,
            concat(
                ', ',
                {{ percentage(share('segments.net_revenue', 'totals.net_revenue')) }},
                ' of the net revenue of all customers'
            ),
            ''
        ) as revenue_share,
        concat(
            'their last order was ',
            {{ counted('segments.average_recency_days', 'day') }},
            if(segments.customers = 1, ' ago', ' ago on average')
        ) as recency,
        case
            when segments.one_order_customers = 0 then null
            when segments.customers = 1 then 'they ordered once'
            when segments.one_order_customers = segments.customers then 'all of them ordered once'
            else concat(format_number(segments.one_order_customers, 0), ' of them ordered once')
        end as one_order,
        case
            when validation.customers >= {{ var('minimum_sample') }}
                then concat(
                    {{ percentage('validation.repurchase_rate') }},
                    ' of the ',
                    {{ counted('validation.customers', 'customer') }},
                    ' who were in the segment {{ var("holdout_days") }} days ago have ordered again'
                )
        end as repurchase
    from segments
    left join validation on segments.subject = validation.segment
    cross join totals
),

final as (
    select
        audience_type,
        subject,
        concat_ws('; ', concat(revenue, revenue_share), recency, one_order, repurchase) as finding,
        customers,
        value_at_stake
    from phrases
)

select * from final
