{#- Makes ids equal that are one number, or one word but for letter case and blanks around. -#}
{%- set one_form -%}
    coalesce(cast(try_cast(customer_id as decimal(20, 0)) as string), lower(trim(customer_id)))
{%- endset -%}

with customers as (
    select * from {{ ref('int_customers') }}
),

categories as (
    select * from {{ ref('purchases_by_category') }}
),

data_period as (
    select * from {{ ref('int_data_period') }}
),

rejected_lines as (
    select * from {{ ref('rejected_transactions') }}
),

folded_ids as (
    select
        customer_id,
        is_registered,
        has_orders,
        orders,
        lower(trim(customer_id)) as folded_id
    from customers
),

ids as (
    select
        *,
        folded_id in (
            'null', '(null)', 'nil', 'nan', 'none', 'n/a', '#n/a', 'na', '<na>', 'n.a.', '\\n', '-', '--',
            '?', '-1', 'unknown', 'undefined', 'missing', 'anonymous', 'guest', 'no customer', '(not set)'
        )
        -- Nothing but zeros, also as a fraction or as a GUID, or nothing but nines.
        or folded_id rlike '^[{]?[0.-]*0[0.-]*[}]?$|^9{7,}$' as is_placeholder,
        xxhash64(folded_id) as folded_key,
        xxhash64(
            coalesce(cast(try_cast(customer_id as decimal(38, 6)) as string), folded_id)
        ) as form_key
    from folded_ids
),

totals as (
    select
        sum(orders) as orders,
        count_if(orders > 0) as buyers,
        count_if(is_registered) as registered,
        count_if(has_orders) as ordering,
        count_if(is_registered and has_orders) as matched,
        min(customer_id) filter (where is_registered) as registered_id,
        min(customer_id) filter (where has_orders) as ordering_id
    from ids
),

late_last_day as (
    select
        1 as display_order,
        'late_last_day' as warning,
        concat(
            'The last line is of ',
            last_late_on,
            ', ',
            {{ counted('datediff(last_late_on, last_on)', 'day') }},
            ' after all others',
            if(late_lines = 1, '', concat(' but ', format_number(late_lines - 1, 0))),
            ', and recency counts back from it.'
        ) as finding,
        concat(
            'Correct the date in the source, or run with AS_OF_DATE=', last_on, ' to leave out what is later.'
        ) as advice
    from data_period
    where late_lines > 0
),

broken_lines as (
    select
        2 as display_order,
        'broken_lines' as warning,
        concat(
            {{ counted('count(*)', 'line') }},
            if(count(*) = 1, ' is left out because its', ' are left out because their'),
            ' fields cannot be told apart, such as "',
            min(left(get_json_object(unparsed_values, '$.line'), 60)),
            '".'
        ) as finding,
        'Correct the quotes and separators in the file; staging.rejected_transactions has the lines.'
            as advice
    from rejected_lines
    where reason = 'broken_line'
    having count(*) > 0
),

-- Ids in the transactions alone, and what the customers file has instead.
misspelt_ids as (
    select
        ordering.customer_id,
        min(registered.customer_id) as registered_id
    from ids as ordering
    inner join ids as registered on ordering.form_key = registered.form_key
    where not ordering.is_registered and registered.is_registered
    group by ordering.customer_id
),

-- With the simplest expression that makes the two equal.
mended_ids as (
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
            else '{{ one_form }}'
        end as expression
    from misspelt_ids
),

unmatched_customers as (
    select
        3 as display_order,
        'unmatched_customers' as warning,
        concat(
            format_number(count(*), 0),
            ' of the ',
            {{ counted('max(totals.ordering)', 'customer id') }},
            ' in the transactions ',
            if(count(*) = 1, 'has', 'have'),
            ' another form in the customers file, such as "',
            min(mended_ids.customer_id),
            '" for "',
            min_by(mended_ids.registered_id, mended_ids.customer_id),
            '".'
        ) as finding,
        concat(
            'Write customer_id: ',
            if(
                count(distinct mended_ids.expression) = 1,
                min(mended_ids.expression),
                '{{ one_form }}'
            ),
            ' in both sections of the mapping, transactions and customers.'
        ) as advice
    from mended_ids
    cross join totals
    having count(*) > 0
    union all
    select
        3 as display_order,
        'unmatched_customers' as warning,
        concat(
            if(
                totals.registered = 1,
                'The only customer id in the customers file is not',
                concat(
                    'None of the ',
                    format_number(totals.registered, 0),
                    ' customer ids in the customers file is'
                )
            ),
            ' in the transactions: one is "',
            totals.registered_id,
            '" in the customers file, one is "',
            totals.ordering_id,
            '" in the transactions.'
        ) as finding,
        'Check that both sections of the mapping take customer_id from the same kind of number.' as advice
    from totals
    where
        totals.registered > 0
        and totals.ordering > 0
        and totals.matched = 0
        and not exists (select 1 from misspelt_ids)
),

conspicuous_ids as (
    select
        ids.customer_id,
        ids.orders,
        totals.orders as all_orders,
        case
            when ids.is_placeholder then 'placeholder_id'
            when
                ids.orders * 10 >= totals.orders
                and ids.orders * totals.buyers >= 10 * totals.orders
                then 'dominant_id'
        end as warning
    from ids
    cross join totals
    where ids.orders > 0
),

-- Most orders first. In SQL a backslash and a quote need a backslash before them.
id_lists as (
    select
        warning,
        count(*) as ids,
        {{ percentage(share('sum(orders)', 'max(all_orders)')) }} as order_share,
        array_sort(
            collect_list(
                struct(
                    -orders,
                    customer_id,
                    concat(
                        '"',
                        customer_id,
                        '" (',
                        {{ counted('orders', 'order') }},
                        ', ',
                        {{ percentage(share('orders', 'all_orders')) }},
                        ')'
                    ) as words
                )
            )
        ).words as words,
        concat(
            'customer_id: case when customer_id not in (',
            array_join(
                array_sort(
                    collect_list(
                        concat("'", regexp_replace(customer_id, "[\\\\']", '\\\\$0'), "'")
                    )
                ),
                ', '
            ),
            ') then customer_id end'
        ) as mapping
    from conspicuous_ids
    where warning is not null
    group by warning
),

placeholder_id as (
    select
        4 as display_order,
        warning,
        concat(
            {{ counted('ids', 'customer id') }},
            if(ids = 1, ' looks like a placeholder and holds ', ' look like placeholders and hold '),
            order_share,
            ' of the orders of all customers: ',
            array_join(slice(words, 1, 10), ', '),
            if(ids > 10, concat(' and ', format_number(ids - 10, 0), ' more'), ''),
            '.'
        ) as finding,
        concat(
            'Write ', mapping, ' in the mapping, so that orders of nobody known count as those of guests.'
        ) as advice
    from id_lists
    where warning = 'placeholder_id'
),

dominant_id as (
    select
        5 as display_order,
        warning,
        concat(
            {{ counted('ids', 'customer id') }},
            if(ids = 1, ' holds ', ' hold '),
            order_share,
            ' of the orders of all customers: ',
            array_join(words, ', '),
            '.'
        ) as finding,
        concat(
            'If that is a cash desk or a test account, write ',
            mapping,
            ' in the mapping, so that its orders count as those of guests.'
        ) as advice
    from id_lists
    where warning = 'dominant_id'
),

near_duplicates as (
    select
        count(*) as ids,
        min(customer_id) as one_id,
        max(customer_id) as other_id
    from ids
    where has_orders and not is_placeholder
    group by folded_key
    having count(*) > 1
),

near_duplicate_ids as (
    select
        6 as display_order,
        'near_duplicate_ids' as warning,
        concat(
            {{ counted('sum(ids)', 'customer id') }},
            ' in the transactions differ from another only in letter case or in blanks around, such as "',
            min(one_id),
            '" and "',
            min_by(other_id, one_id),
            '".'
        ) as finding,
        'If they are the same customers, write customer_id: lower(trim(customer_id)) in the mapping.'
            as advice
    from near_duplicates
    having count(*) > 0
),

damaged_values as (
    select customer_id as damaged_value
    from ids
    where contains(customer_id, '\uFFFD')
    union all
    select product_category as damaged_value
    from categories
    where contains(product_category, '\uFFFD')
),

damaged_text as (
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

sentinel_days as (
    select
        cast(ordered_at as date) as ordered_on,
        count(*) as lines
    from rejected_lines
    where reason = 'sentinel_date'
    group by cast(ordered_at as date)
),

sentinel_dates as (
    select
        8 as display_order,
        'sentinel_dates' as warning,
        concat(
            {{ counted('sum(lines)', 'line') }},
            if(sum(lines) = 1, ' is', ' are'),
            ' left out because the date stands for none: ',
            array_join(
                array_sort(
                    collect_list(concat(ordered_on, ' (', {{ counted('lines', 'line') }}, ')'))
                ),
                ', '
            ),
            '.'
        ) as finding,
        'Correct the dates in the source; staging.rejected_transactions has the lines.' as advice
    from sentinel_days
    having count(*) > 0
),

early_first_day as (
    select
        9 as display_order,
        'early_first_day' as warning,
        concat(
            'The first line is of ',
            first_early_on,
            ', ',
            {{ counted('datediff(first_on, first_early_on)', 'day') }},
            ' before all others',
            if(early_lines = 1, '', concat(' but ', format_number(early_lines - 1, 0))),
            '.'
        ) as finding,
        concat(
            'Check the dates of the lines before ',
            first_on,
            ': they count in all totals, but in no rate per day.'
        ) as advice
    from data_period
    where early_lines > 0
),

final as (
    select * from late_last_day
    union all
    select * from broken_lines
    union all
    select * from unmatched_customers
    union all
    select * from placeholder_id
    union all
    select * from dominant_id
    union all
    select * from near_duplicate_ids
    union all
    select * from damaged_text
    union all
    select * from sentinel_dates
    union all
    select * from early_first_day
)

select * from final
