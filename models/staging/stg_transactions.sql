{{
    config(
        materialized='incremental',
        incremental_strategy='insert_overwrite',
        partition_by='batch',
        clustered_by='customer_key',
        buckets=var('buckets'),
        post_hook='{{ note_origin_of_lines() }}'
    )
}}

with transactions as (
    select * from {{ source('raw', 'transactions') }}
    {% if is_incremental() %}
        -- Only new lines: a later line never changes the result of an earlier one.
        where loaded_at > (select max(earlier.batch) from {{ this }} as earlier)
    {% endif %}
),

-- Ids of new lines that an earlier run has already accepted.
known_ids as (
    {% if is_incremental() %}
        select earlier.transaction_id
        from {{ this }} as earlier
        left semi join transactions on earlier.transaction_id = transactions.transaction_id
        where earlier.rejection_reason is null
    {% else %}
        select transaction_id
        from transactions
        where false
    {% endif %}
),

lines as (
    select
        transactions.*,
        known_ids.transaction_id is not null as has_known_id
    from transactions
    left join known_ids on transactions.transaction_id = known_ids.transaction_id
),

-- The rules that look at one line at a time. The first rule that applies gives the reason; their order
-- is that of the seed rejection_reasons.
checked_lines as (
    select
        *,
        case
            when get_json_object(unparsed_values, '$.line') is not null then 'broken_line'
            when ordered_at is null then 'missing_timestamp'
            -- Days that programs write when they do not know the date.
            when cast(ordered_at as date) in (
                date '0001-01-01',
                date '1753-01-01',
                date '1899-12-30',
                date '1899-12-31',
                date '1900-01-01',
                date '1970-01-01',
                date '9999-12-31'
            ) then 'sentinel_date'
            when
                amount is null and get_json_object(unparsed_values, '$.amount') is null
                then 'missing_amount'
            when
                get_json_object(unparsed_values, '$.amount') is not null
                or get_json_object(unparsed_values, '$.quantity') is not null
                then 'not_a_number'
            when quantity = 0 and amount = 0 then 'zero_quantity_and_amount'
            when ordered_at > loaded_at then 'future_dated'
            when has_known_id then 'duplicate_transaction_id'
        end as own_rejection_reason
    from lines
),

-- Hashes, because eight bytes per line shuffle faster than an id. Two ids with the same hash do no
-- harm: the copies are numbered by the id itself.
repeated_ids as (
    select xxhash64(transaction_id) as transaction_key
    from checked_lines
    where own_rejection_reason is null and transaction_id is not null
    group by xxhash64(transaction_id)
    having count(*) > 1
),

marked_lines as (
    select /*+ broadcast(repeated_ids) */
        checked_lines.*,
        repeated_ids.transaction_key is not null as is_repeated
    from checked_lines
    left join repeated_ids
        on
            xxhash64(checked_lines.transaction_id) = repeated_ids.transaction_key
            and checked_lines.own_rejection_reason is null
),

-- The first line loaded is copy 1 and stays. Lines loaded together are ordered by their content, so
-- that every run keeps the same one.
numbered_copies as (
    select
        *,
        row_number() over (
            partition by transaction_id
            order by
                loaded_at, ordered_at, customer_id, order_id, product_id, product_category,
                quantity, amount, payment_method, file_number
        ) as copy_number
    from marked_lines
    where is_repeated
),

all_lines as (
    select
        * except (copy_number, is_repeated, own_rejection_reason),
        case when copy_number > 1 then 'duplicate_transaction_id' end as rejection_reason
    from numbered_copies
    union all
    select
        * except (is_repeated, own_rejection_reason),
        own_rejection_reason as rejection_reason
    from marked_lines
    where not is_repeated
),

keyed_lines as (
    select
        *,
        {{ order_key('order_id', 'customer_id', 'ordered_at') }} as order_key
    from all_lines
),

-- The only shuffle of the transactions: later models find all lines of a customer in one bucket.
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

        ordered_at,
        cast(ordered_at as date) as ordered_on,
        loaded_at,
        file_number,

        product_id,
        product_category,
        payment_method,

        {{ thousandths('coalesce(quantity, case when amount < 0 then -1 else 1 end)') }}
            as quantity_thousandths,
        {{ cents('amount') }} as amount_cents,
        unparsed_values,
        rejection_reason,

        (select max(transactions.loaded_at) from transactions) as batch
    from keyed_lines
)

select * from final
