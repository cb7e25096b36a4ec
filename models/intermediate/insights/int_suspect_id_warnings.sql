with customers as (
    select * from {{ ref('int_customers') }}
),

normalized_ids as (
    select
        customer_id,
        has_orders,
        orders,
        lower(trim(customer_id)) as normalized_id
    from customers
),

ids as (
    select
        customer_id,
        has_orders,
        orders,
        xxhash64(normalized_id) as normalized_key,
        normalized_id in (
            {{ placeholder_texts() }}, 'none', 'na', '-1', 'anonymous', 'guest', 'no customer'
        )
        -- Only zeros, also as a fraction or as a GUID, or seven or more nines.
        or normalized_id rlike '^[{]?[0.-]*0[0.-]*[}]?$|^9{7,}$' as is_placeholder
    from normalized_ids
),

totals as (
    select
        sum(orders) as orders,
        count_if(orders > 0) as buyers
    from ids
),

-- A dominant id has at least a tenth of all orders, and ten times the orders of the average buyer.
suspect_ids as (
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

-- Two texts: the ids in words, most orders first, and an expression for the mapping that turns them into
-- guests. A SQL string needs a backslash before each backslash and quote.
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
    from suspect_ids
    where warning is not null
    group by warning
),

placeholder_warning as (
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
        concat('Write ', mapping, ' in the mapping, so that these orders count as those of guests.')
            as advice
    from id_lists
    where warning = 'placeholder_id'
),

dominant_warning as (
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

-- This step reads no id as text. To find the smallest text of a group, Spark would sort all rows.
repeated_keys as (
    select normalized_key
    from ids
    where has_orders and not is_placeholder
    group by normalized_key
    having count(*) > 1
),

near_duplicates as (
    select /*+ broadcast(repeated_keys) */
        count(*) as ids,
        min(ids.customer_id) as first_id,
        max(ids.customer_id) as last_id
    from ids
    inner join repeated_keys on ids.normalized_key = repeated_keys.normalized_key
    where ids.has_orders and not ids.is_placeholder
    group by ids.normalized_key
),

near_duplicate_warning as (
    select
        6 as display_order,
        'near_duplicate_ids' as warning,
        concat(
            {{ counted('sum(ids)', 'customer id') }},
            ' in the transactions differ from another only in letter case or surrounding blanks, such as "',
            min(first_id),
            '" and "',
            min_by(last_id, first_id),
            '".'
        ) as finding,
        'If they are the same customers, write customer_id: lower(trim(customer_id)) in the mapping.'
            as advice
    from near_duplicates
    having count(*) > 0
),

final as (
    select * from placeholder_warning
    union all
    select * from dominant_warning
    union all
    select * from near_duplicate_warning
)

select * from final
