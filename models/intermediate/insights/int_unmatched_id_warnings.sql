{#- An expression for the mapping that makes ids equal when they are the same whole number, or the same
    word except for letter case and surrounding blanks. -#}
{%- set any_form =
    'if(try_cast(customer_id as decimal(38, 6)) % 1 = 0, '
    ~ 'cast(cast(customer_id as decimal(38, 0)) as string), lower(trim(customer_id)))'
-%}

with customers as (
    select * from {{ ref('int_customers') }}
),

ids as (
    select
        customer_id,
        is_registered,
        has_orders,
        xxhash64({{ any_form }}) as normalized_key
    from customers
),

totals as (
    select
        count_if(is_registered) as registered,
        count_if(has_orders) as ordering,
        count_if(is_registered and has_orders) as matched,
        min(customer_id) filter (where is_registered) as registered_id,
        min(customer_id) filter (where has_orders) as ordering_id
    from ids
),

-- Ids that are only in the transactions, with the matching id of the customers file.
matching_ids as (
    select
        ordering.customer_id,
        min(registered.customer_id) as registered_id
    from ids as ordering
    inner join ids as registered on ordering.normalized_key = registered.normalized_key
    where not ordering.is_registered and registered.is_registered
    group by ordering.customer_id
),

-- The simplest expression that makes the two ids equal.
mapping_expressions as (
    select
        customer_id,
        registered_id,
        case
            when trim(customer_id) = trim(registered_id) then 'trim(customer_id)'
            when lower(trim(customer_id)) = lower(trim(registered_id))
                then 'lower(trim(customer_id))'
            when
                regexp_replace(customer_id, '[.]0+$', '') = regexp_replace(registered_id, '[.]0+$', '')
                then "regexp_replace(customer_id, '[.]0+$', '')"
            else '{{ any_form }}'
        end as expression
    from matching_ids
),

different_form_warning as (
    select
        concat(
            format_number(count(*), 0),
            ' of the ',
            {{ counted('max(totals.ordering)', 'customer id') }},
            ' in the transactions ',
            if(count(*) = 1, 'is', 'are'),
            ' written differently in the customers file: "',
            min(mapping_expressions.customer_id),
            '", for example, is "',
            min_by(mapping_expressions.registered_id, mapping_expressions.customer_id),
            '" there.'
        ) as finding,
        concat(
            'Write customer_id: ',
            if(
                count(distinct mapping_expressions.expression) = 1,
                min(mapping_expressions.expression),
                '{{ any_form }}'
            ),
            ' in both sections of the mapping, transactions and customers.'
        ) as advice
    from mapping_expressions
    cross join totals
    having count(*) > 0
),

no_common_id_warning as (
    select
        concat(
            if(
                registered = 1,
                'The only customer id in the customers file is not',
                concat(
                    'None of the ',
                    format_number(registered, 0),
                    ' customer ids in the customers file is'
                )
            ),
            ' in the transactions. For example, the customers file has "',
            registered_id,
            '", and the transactions have "',
            ordering_id,
            '".'
        ) as finding,
        'Check that customer_id means the same in both sections of the mapping.' as advice
    from totals
    where
        registered > 0
        and ordering > 0
        and matched = 0
        and not exists (select 1 from matching_ids)
),

-- At most one of the two has a row.
warnings as (
    select * from different_form_warning
    union all
    select * from no_common_id_warning
),

final as (
    select
        3 as display_order,
        'unmatched_customers' as warning,
        finding,
        advice
    from warnings
)

select * from final
