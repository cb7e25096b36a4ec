with customers as (
    select * from {{ ref('customers') }}
),

risks as (
    select explode(array('low', 'medium', 'high')) as churn_risk
),

customer_risks as (
    select
        churn_risk,
        count(*) as customers,
        sum(net_revenue) as net_revenue,
        sum(recency_days) as recency_days
    from customers
    group by churn_risk
),

final as (
    select
        risks.churn_risk,
        coalesce(customer_risks.customers, 0) as customers,
        cast(coalesce(customer_risks.net_revenue, 0) as decimal(18, 2)) as net_revenue,
        {{ share('customer_risks.recency_days', 'customer_risks.customers') }}
            as average_recency_days
    from risks
    left join customer_risks on risks.churn_risk = customer_risks.churn_risk
)

select * from final
