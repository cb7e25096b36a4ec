with playbook as (
    select * from {{ ref('segment_playbook') }}
),

audiences as (
    select * from {{ ref('audiences') }}
),

categories as (
    select * from {{ ref('purchases_by_category') }}
),

segments as (
    select
        'segment' as audience_type,
        segment as subject,
        segment as audience,
        recommended_action
    from playbook
),

category_buyers as (
    select
        audiences.audience_type,
        categories.product_category as subject,
        replace(audiences.audience, '{category}', categories.product_category) as audience,
        audiences.recommended_action
    from audiences
    cross join categories
    where audiences.audience_type = 'category_buyers'
),

single_audiences as (
    select
        audience_type,
        cast(null as string) as subject,
        audience,
        recommended_action
    from audiences
    where audience_type <> 'category_buyers'
),

final as (
    select * from segments
    union all
    select * from category_buyers
    union all
    select * from single_audiences
)

select * from final
