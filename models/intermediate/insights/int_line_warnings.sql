with as_of as (
    select * from {{ ref('int_as_of_date') }}
),

data_period as (
    select * from {{ ref('int_data_period') }}
),

rejected_lines as (
    select * from {{ ref('rejected_transactions') }}
),

orders as (
    select * from {{ ref('int_orders') }}
),

late_line_warning as (
    select
        1 as display_order,
        'late_last_day' as warning,
        concat(
            'The last line is dated ',
            last_late_on,
            ', ',
            {{ counted('datediff(last_late_on, last_on)', 'day') }},
            ' after all others',
            if(late_lines = 1, '', concat(' except ', format_number(late_lines - 1, 0))),
            '.'
        ) as finding,
        concat(
            'Correct the date in the source, or run with AS_OF_DATE=', last_on, ' to leave out later lines.'
        ) as advice
    from data_period
    where late_lines > 0
),

broken_line_warning as (
    select
        2 as display_order,
        'broken_lines' as warning,
        concat(
            {{ counted('count(*)', 'line') }},
            if(count(*) = 1, ' is left out because its', ' are left out because their'),
            ' fields cannot be separated, such as "',
            min(left(get_json_object(unparsed_values, '$.line'), 60)),
            '".'
        ) as finding,
        'Correct the quotes and separators in the file; rejected_transactions has the lines.'
            as advice
    from rejected_lines
    where reason = 'broken_line'
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

sentinel_date_warning as (
    select
        8 as display_order,
        'sentinel_dates' as warning,
        concat(
            {{ counted('sum(lines)', 'line') }},
            if(
                sum(lines) = 1,
                ' is left out because its date is a placeholder: ',
                ' are left out because their dates are placeholders: '
            ),
            array_join(
                array_sort(
                    collect_list(concat(ordered_on, ' (', {{ counted('lines', 'line') }}, ')'))
                ),
                ', '
            ),
            '.'
        ) as finding,
        'Correct the dates in the source; rejected_transactions has the lines.' as advice
    from sentinel_days
    having count(*) > 0
),

early_line_warning as (
    select
        9 as display_order,
        'early_first_day' as warning,
        concat(
            'The first line is dated ',
            first_early_on,
            ', ',
            {{ counted('datediff(first_on, first_early_on)', 'day') }},
            ' before all others',
            if(early_lines = 1, '', concat(' except ', format_number(early_lines - 1, 0))),
            '.'
        ) as finding,
        concat(
            'Check the dates of the lines before ',
            first_on,
            ': they count in totals, but not in rates per day.'
        ) as advice
    from data_period
    where early_lines > 0
),

-- The condition is that of int_windows: then no earlier window is compared.
early_end_warning as (
    select
        11 as display_order,
        'early_last_day' as warning,
        concat(
            'The last line is dated ',
            data_period.last_on,
            ', ',
            {{ counted('datediff(as_of.as_of_date, data_period.last_on)', 'day') }},
            ' before the as-of date. So the last {{ var("window_days") }} days ',
            'are not compared with those before.'
        ) as finding,
        concat('Load the missing days, or run with AS_OF_DATE=', data_period.last_on, '.') as advice
    from data_period
    cross join as_of
    where
        data_period.late_lines = 0
        and 10 * datediff(as_of.as_of_date, data_period.last_on) > {{ var('window_days') }}
),

long_orders as (
    select
        count_if(purchase_span_days > 31) as long_orders,
        count_if(is_purchase) as orders
    from orders
),

-- The source may reuse order numbers, or a number may identify a contract. If fewer than one in a hundred
-- orders are long, there is no warning: they may be late deliveries.
long_order_warning as (
    select
        10 as display_order,
        'long_orders' as warning,
        concat(
            {{ counted('long_orders', 'order') }},
            if(long_orders = 1, ' has', ' have'),
            ' purchases more than 31 days apart. An order counts on its first day.'
        ) as finding,
        'If the source reuses order numbers, add the day to order_id in the mapping.' as advice
    from long_orders
    where long_orders > 0 and 100 * long_orders >= orders
),

final as (
    select * from late_line_warning
    union all
    select * from broken_line_warning
    union all
    select * from sentinel_date_warning
    union all
    select * from early_line_warning
    union all
    select * from long_order_warning
    union all
    select * from early_end_warning
)

select * from final
