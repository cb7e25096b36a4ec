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
        -- What was judged stays: no line that comes later changes what an earlier one is.
        where loaded_at > (select max(earlier.batch) from {{ this }} as earlier)
    {% endif %}
),

-- Those of the ids that lines judged earlier have.
earlier_ids as (
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

compared as (
    select
        transactions.*,
        earlier_ids.transaction_id is not null as is_known
    from transactions
    left join earlier_ids on transactions.transaction_id = earlier_ids.transaction_id
),

-- What can be said of a line without the others of this batch.
judged as (
    select
        *,
        case
            when get_json_object(unparsed_values, '$.line') is not null then 'broken_line'
            when ordered_at is null then 'missing_timestamp'
            -- What programs write where they know no date.
            when cast(ordered_at as date) in (
                date '0001-01-01',
                date '1753-01-01',
                date '1899-12-30',
                date '1899-12-31',
                date '1900-01-01',
                date '1970-01-01',
                date '9999-12-31'
            ) then 'sentinel_date'
            when get_json_object(unparsed_values, '$.amount') is not null then 'not_a_number'
            when amount is null then 'missing_amount'
            when get_json_object(unparsed_values, '$.quantity') is not null then 'not_a_number'
            when quantity = 0 and amount = 0 then 'zero_quantity_and_amount'
            when ordered_at > loaded_at then 'future_dated'
            when is_known then 'duplicate_transaction_id'
        end as own_rejection_reason
    from compared
),

-- Hashes, because eight bytes a line travel faster than an id; a hash shared by chance is harmless,
-- since the copies are then numbered by the id itself.
repeated_ids as (
    select xxhash64(transaction_id) as transaction_key
    from judged
    where own_rejection_reason is null and transaction_id is not null
    group by xxhash64(transaction_id)
    having count(*) > 1
),

marked as (
    select /*+ broadcast(repeated_ids) */
        judged.*,
        repeated_ids.transaction_key is not null as is_repeated
    from judged
    left join repeated_ids
        on
            xxhash64(judged.transaction_id) = repeated_ids.transaction_key
            and judged.own_rejection_reason is null
),

-- The first that was loaded is kept, the content decides ties.
numbered_copies as (
    select
        *,
        row_number() over (
            partition by transaction_id
            order by
                loaded_at, ordered_at, customer_id, order_id, product_id, product_category,
                quantity, amount, payment_method
        ) as copy_number
    from marked
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
    from marked
    where not is_repeated
),

keyed as (
    select
        *,
        {{ order_key('order_id', 'customer_id', 'ordered_at') }} as order_key
    from all_lines
),

-- The one shuffle of the transactions: all that follows finds a customer's lines together.
final as (
    select /*+ repartition({{ var('buckets') }}, customer_key) */
        -- A guest's line takes its order's key, so that guests spread over all buckets.
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

        product_id,
        product_category,
        payment_method,

        {{ thousandths('coalesce(quantity, case when amount < 0 then -1 else 1 end)') }}
            as quantity_thousandths,
        {{ cents('amount') }} as amount_cents,
        unparsed_values,
        rejection_reason,

        (select max(transactions.loaded_at) from transactions) as batch
    from keyed
)

select * from final
