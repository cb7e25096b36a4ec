with transactions as (
    select * from {{ ref('stg_checked_transactions') }}
),

-- Lines that counted when they were loaded, and deletions.
accepted_lines as (
    select * from transactions
    where rejection_reason is null or rejection_reason = 'deleted'
),

-- Lines of loads that replace orders. Copies and older versions of an id are included, because they, too,
-- show that the new order has the id.
replacing_lines as (
    select * from transactions
    where
        replaces_order
        and (
            rejection_reason is null
            or rejection_reason in ('deleted', 'superseded', 'duplicate_transaction_id')
        )
),

later_versions as (
    select
        line_key,
        batch
    from accepted_lines
    -- An earlier run has accepted a version of the id.
    where has_known_id
),

superseded_versions as (
    select /*+ broadcast(later_versions) */
        accepted_lines.line_key,
        accepted_lines.loaded_at,
        accepted_lines.ordered_on,
        later_versions.batch as superseded_in
    from accepted_lines
    inner join later_versions
        on
            accepted_lines.line_key = later_versions.line_key
            and accepted_lines.batch < later_versions.batch
),

replaced_orders as (
    select
        order_key,
        max(loaded_at) as replaced_at,
        max(batch) as superseded_in
    from replacing_lines
    -- The first load has nothing to replace.
    where loaded_at > (select min(transactions.loaded_at) from transactions)
    group by order_key
),

lines_of_replaced_orders as (
    select /*+ broadcast(replaced_orders) */
        accepted_lines.order_key,
        accepted_lines.line_key,
        accepted_lines.loaded_at,
        accepted_lines.ordered_on,
        replaced_orders.replaced_at,
        replaced_orders.superseded_in
    from accepted_lines
    inner join replaced_orders
        on
            accepted_lines.order_key = replaced_orders.order_key
            and accepted_lines.loaded_at < replaced_orders.replaced_at
    -- A deletion stays a deletion: it has no amount to take back.
    where accepted_lines.rejection_reason is null
),

replaced_ids as (
    select
        order_key,
        line_key,
        max(loaded_at) as replaced_at
    from replacing_lines
    where transaction_id is not null
    group by order_key, line_key
),

-- Lines that are missing from the newest load of their order. If that load has the id, the versions of the
-- id decide.
lines_absent_from_new_order as (
    select
        lines_of_replaced_orders.line_key,
        lines_of_replaced_orders.loaded_at,
        lines_of_replaced_orders.ordered_on,
        lines_of_replaced_orders.superseded_in
    from lines_of_replaced_orders
    left join replaced_ids
        on
            lines_of_replaced_orders.order_key = replaced_ids.order_key
            and lines_of_replaced_orders.line_key = replaced_ids.line_key
    where
        replaced_ids.replaced_at is null
        or replaced_ids.replaced_at < lines_of_replaced_orders.replaced_at
),

all_lines as (
    select * from superseded_versions
    union all
    select * from lines_absent_from_new_order
),

final as (
    select
        line_key,
        loaded_at,
        min(ordered_on) as first_ordered_on,
        max(superseded_in) as superseded_in
    from all_lines
    group by line_key, loaded_at
)

select * from final
