{{
    config(
        materialized='table' if var('transactions_model') else 'incremental',
        incremental_strategy='insert_overwrite',
        partition_by='batch',
        clustered_by='customer_key',
        buckets=var('buckets'),
        post_hook='{{ note_origin_of_lines() }}'
    )
}}

-- Each line gets its keys and its version. In checked_lines, a rule on the line itself may reject it. In
-- classified_lines, other lines with its id may reject it: copies, later versions, deletions.
with raw_transactions as (
    select
        *,
        {{ order_key('order_id', 'customer_id', 'ordered_at') }} as order_key,
        {{ line_version() }} as version
    from {{ raw_table('transactions') }}
    {% if is_incremental() %}
        -- Only new lines. stg_superseded_transactions has the earlier lines that they replace.
        where loaded_at > {{ last_batch() }}
    {% endif %}
),

transactions as (
    select
        *,
        {{ line_key('transaction_id', 'order_key') }} as line_key
    from raw_transactions
),

-- For each id of a new line, the versions that earlier runs have accepted.
accepted_versions as (
    {% if is_incremental() %}
        select
            earlier.transaction_id,
            max(earlier.version) as latest_version,
            collect_set(earlier.version) as versions
        from (
            select
                transaction_id,
                {{ line_version() }} as version
            from {{ this }}
            where rejection_reason is null or rejection_reason in ('superseded', 'deleted')
        ) as earlier
        left semi join transactions on earlier.transaction_id = transactions.transaction_id
        group by earlier.transaction_id
    {% else %}
        select
            transaction_id,
            version as latest_version,
            array(version) as versions
        from transactions
        where false
    {% endif %}
),

lines as (
    select
        transactions.*,
        accepted_versions.latest_version as latest_accepted_version,
        coalesce(array_contains(accepted_versions.versions, transactions.version), false)
            as is_accepted_already
    from transactions
    left join accepted_versions on transactions.transaction_id = accepted_versions.transaction_id
),

-- The rules that look at one line at a time. The first rule that applies gives the reason; their order
-- is that of the seed rejection_reasons.
checked_lines as (
    select
        *,
        case
            when get_json_object(unparsed_values, '$.line') is not null then 'broken_line'
            when
                get_json_object(unparsed_values, '$.updated_at') is not null
                or get_json_object(unparsed_values, '$.is_deleted') is not null
                then 'unreadable_version'
            -- A deletion needs no other values.
            when is_deleted then null
            when ordered_at is null then 'missing_timestamp'
            -- Midnight east of UTC is still the day before in UTC.
            when
                cast(ordered_at as date) in ({{ placeholder_days() }})
                or cast(ordered_at + interval 14 hours as date) in ({{ placeholder_days() }})
                then 'sentinel_date'
            when
                amount is null and get_json_object(unparsed_values, '$.amount') is null
                then 'missing_amount'
            when
                get_json_object(unparsed_values, '$.amount') is not null
                or get_json_object(unparsed_values, '$.quantity') is not null
                then 'not_a_number'
            when quantity = 0 and amount = 0 then 'zero_quantity_and_amount'
            when ordered_at > loaded_at then 'future_dated'
        end as own_rejection_reason
    from lines
),

-- Hashes, because eight bytes per line shuffle faster than an id. Two ids with the same hash do no
-- harm: the copies are numbered by the id itself.
repeated_ids as (
    select line_key
    from checked_lines
    where own_rejection_reason is null and transaction_id is not null
    group by line_key
    having count(*) > 1
),

marked_lines as (
    select /*+ broadcast(repeated_ids) */
        checked_lines.*,
        repeated_ids.line_key is not null as is_repeated
    from checked_lines
    left join repeated_ids
        on
            checked_lines.line_key = repeated_ids.line_key
            and checked_lines.transaction_id is not null
            and checked_lines.own_rejection_reason is null
),

-- The first copy of a version stays. Copies loaded together are ordered by their content, so that every
-- run keeps the same one.
numbered_copies as (
    select
        *,
        row_number() over (
            partition by transaction_id, version
            order by
                loaded_at, ordered_at, customer_id, order_id, product_id, product_category,
                quantity, amount, payment_method, file_number
        ) as copy_number,
        max(version) over (partition by transaction_id) as latest_version
    from marked_lines
    where is_repeated
),

all_lines as (
    select * from numbered_copies
    union all
    select
        *,
        1 as copy_number,
        version as latest_version
    from marked_lines
    where not is_repeated
),

-- Of several versions of an id, the latest counts.
classified_lines as (
    select
        *,
        case
            when own_rejection_reason is not null then own_rejection_reason
            when is_accepted_already or copy_number > 1 then 'duplicate_transaction_id'
            when version < greatest(latest_version, latest_accepted_version) then 'superseded'
            when is_deleted then 'deleted'
        end as rejection_reason
    from all_lines
),

-- The only shuffle of all lines: later models find all lines of a customer in one bucket.
final as (
    select /*+ repartition({{ var('buckets') }}, customer_key) */
        -- A guest's line takes the key of its order, so that guests spread over all buckets.
        case
            when customer_id is null then order_key else {{ customer_key('customer_id') }}
        end as customer_key,
        customer_id,
        customer_id is null as is_guest,
        order_key,
        order_id,
        transaction_id,
        line_key,

        ordered_at,
        cast(ordered_at as date) as ordered_on,
        loaded_at,
        file_number,

        product_id,
        {{ known_text('product_category') }} as product_category,
        {{ known_text('payment_method') }} as payment_method,

        -- Without a quantity, a line has one unit, or -1 if its amount is negative. A quantity that cannot be
        -- read stays null, as does the quantity of a broken line.
        cast(
            1000 * case
                when
                    quantity is not null
                    or get_json_object(unparsed_values, '$.quantity') is not null
                    or get_json_object(unparsed_values, '$.line') is not null
                    then cast(quantity as decimal(18, 3))
                when amount < 0 then -1
                else 1
            end as bigint
        ) as quantity_thousandths,
        -- Another project's column may be a double. As doubles, 100 * 19.99 is less than 1999.
        cast(100 * cast(amount as decimal(18, 2)) as bigint) as amount_cents,

        updated_at,
        is_deleted,
        replaces_order,
        latest_accepted_version is not null as has_known_id,
        unparsed_values,
        rejection_reason,

        (select max(transactions.loaded_at) from transactions) as batch
    from classified_lines
)

select * from final
