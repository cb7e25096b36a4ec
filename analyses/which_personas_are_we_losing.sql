-- Which personas are we losing, and how much revenue did their high-risk customers bring?
--
-- Read: compare high_risk_share with that of the other personas.
-- Beware: recency is part of both the persona and the risk, so the two are not independent.

with customers as (
    select * from {{ ref('customers') }}
),

personas as (
    select * from {{ ref('personas') }}
),

persona_risks as (
    select
        persona,
        count(*) as customers,
        count_if(churn_risk = 'high') as high_risk_customers,
        sum(net_revenue) as net_revenue,
        sum(case when churn_risk = 'high' then net_revenue else 0 end) as high_risk_revenue
    from customers
    where persona is not null
    group by persona
),

final as (
    select
        persona_risks.persona,
        persona_risks.customers,
        persona_risks.high_risk_customers,
        {{ share('persona_risks.high_risk_customers', 'persona_risks.customers') }}
            as high_risk_share,
        cast(persona_risks.high_risk_revenue as decimal(18, 2)) as high_risk_revenue,
        {{ share('persona_risks.high_risk_revenue', 'greatest(persona_risks.net_revenue, 0)') }}
            as high_risk_revenue_share,
        personas.recommended_action
    from persona_risks
    inner join personas on persona_risks.persona = personas.persona
)

select * from final
order by high_risk_revenue desc, persona asc
