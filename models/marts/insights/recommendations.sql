{%- set window_days = var('window_days') -%}

with audiences as (
    select * from {{ ref('int_audiences') }}
),

members as (
    select * from {{ ref('int_audience_members') }}
),

summary as (
    select * from {{ ref('executive_summary') }}
),

segment_findings as (
    select * from {{ ref('int_segment_findings') }}
),

sales_findings as (
    select * from {{ ref('int_sales_findings') }}
),

risk_findings as (
    select
        'high_value_at_risk' as audience_type,
        cast(null as string) as subject,
        concat(
            {{ counted('count(*)', 'customer') }},
            ' with a high churn risk and a monetary score of 4 or 5 placed their last order ',
            {{ counted('cast(round(avg(recency_days)) as bigint)', 'day') }},
            if(count(*) = 1, ' ago', ' ago on average'),
            '; ',
            format_number(sum(value_at_stake), 2),
            ' a year is at stake'
        ) as finding,
        count(*) as customers,
        sum(value_at_stake) as value_at_stake
    from members
    where audience_type = 'high_value_at_risk'
),

active_customers as (
    select
        value as customers,
        previous_value as previous_customers,
        change_rate
    from summary
    where metric = 'active_customers'
),

lapsed_customers as (
    select
        count(*) as customers,
        sum(value_at_stake) as value_at_stake
    from members
    where audience_type = 'recently_lapsed'
),

-- Some customers lapse in every window. This is a finding only if the number of active customers
-- fell, and by at least 0.1% after rounding.
lapse_findings as (
    select
        'recently_lapsed' as audience_type,
        cast(null as string) as subject,
        concat(
            'The number of active customers fell by ',
            {{ percentage('-active_customers.change_rate') }},
            ', from ',
            format_number(active_customers.previous_customers, 0),
            ' in the previous {{ window_days }} days to ',
            format_number(active_customers.customers, 0),
            ' in the last {{ window_days }} days; ',
            {{ counted('lapsed_customers.customers', 'customer') }},
            if(
                lapsed_customers.customers = 1,
                ' who was active then has placed no order since',
                ' who were active then have placed no order since'
            )
        ) as finding,
        lapsed_customers.customers,
        lapsed_customers.value_at_stake
    from active_customers
    cross join lapsed_customers
    where round(active_customers.change_rate, 3) < 0
),

late_findings as (
    select
        'late' as audience_type,
        cast(null as string) as subject,
        concat(
            {{ counted('count(*)', 'customer') }},
            if(count(*) = 1, ' has', ' have'),
            ' gone longer without an order than four in five active customers with the same rhythm'
        ) as finding,
        count(*) as customers,
        sum(value_at_stake) as value_at_stake
    from members
    where audience_type = 'late'
),

findings as (
    select * from segment_findings
    union all
    select * from risk_findings
    union all
    select * from late_findings
    union all
    select * from lapse_findings
    union all
    select * from sales_findings
),

final as (
    select
        cast(
            row_number() over (order by findings.value_at_stake desc, audiences.audience asc) as int
        ) as priority,
        audiences.audience,
        concat(findings.finding, '.') as finding,
        audiences.recommended_action as action,
        findings.customers,
        cast(findings.value_at_stake as decimal(18, 2)) as value_at_stake
    from findings
    -- If a segment is missing from the playbook, its audience is null, and the contract refuses the table.
    left join audiences
        on
            findings.audience_type = audiences.audience_type
            and findings.subject is not distinct from audiences.subject
    -- Guests cannot be counted, so their number of customers is null.
    where findings.customers > 0 or findings.customers is null
)

select * from final
