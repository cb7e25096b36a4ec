with customers as (
    select * from {{ ref('int_customers') }}
),

categories as (
    select * from {{ ref('purchases_by_category') }}
),

line_warnings as (
    select * from {{ ref('int_line_warnings') }}
),

unmatched_id_warnings as (
    select * from {{ ref('int_unmatched_id_warnings') }}
),

suspect_id_warnings as (
    select * from {{ ref('int_suspect_id_warnings') }}
),

-- Programs write U+FFFD in place of bytes that they cannot decode.
damaged_values as (
    select customer_id as damaged_value
    from customers
    where contains(customer_id, '\uFFFD')
    union all
    select product_category as damaged_value
    from categories
    where contains(product_category, '\uFFFD')
),

damaged_text_warnings as (
    select
        7 as display_order,
        'damaged_text' as warning,
        concat(
            {{ counted('count(*)', 'value') }},
            ' of customer_id or product_category lost characters to a wrong encoding, such as "',
            min(damaged_value),
            '".'
        ) as finding,
        'Export the file as UTF-8, or name its encoding in the section format of the mapping.' as advice
    from damaged_values
    having count(*) > 0
),

spellings as (
    select
        min(product_category) as spelling,
        max(product_category) as other_spelling
    from categories
    group by lower(trim(regexp_replace(product_category, '(?U)\\s+', ' ')))
    having count(*) > 1
),

category_spelling_warnings as (
    select
        12 as display_order,
        'near_duplicate_categories' as warning,
        concat(
            {{ counted('count(*)', 'category name') }},
            if(count(*) = 1, ' has', ' have'),
            ' more than one spelling, such as "',
            min(spelling),
            '" and "',
            min_by(other_spelling, spelling),
            '".'
        ) as finding,
        'Write them alike in the mapping, as in: product_category: initcap(trim(category)).' as advice
    from spellings
    having count(*) > 0
),

final as (
    select * from line_warnings
    union all
    select * from unmatched_id_warnings
    union all
    select * from suspect_id_warnings
    union all
    select * from damaged_text_warnings
    union all
    select * from category_spelling_warnings
)

select * from final
