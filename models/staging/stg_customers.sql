{{ config(clustered_by='customer_key', buckets=var('buckets')) }}

with customers as (
    select
        customer_id,
        case when registered_on not in ({{ placeholder_days() }}) then registered_on end as registered_on,
        -- 0 and 126 (born in 1900) stand for an unknown age.
        case when age between 1 and 120 then age end as age,
        {{ known_text('gender') }} as gender,
        {{ known_text('region') }} as region,
        {{ known_text('membership_level') }} as membership_level
    from {{ raw_table('customers') }}
),

-- The only shuffle of the customers: their copies come together, too.
keyed_customers as (
    select /*+ repartition({{ var('buckets') }}, customer_key) */
        *,
        {{ customer_key('customer_id') }} as customer_key
    from customers
    where customer_id is not null
),

-- A source may list a customer more than once: the latest registration counts. Of equal registrations, the
-- row with the greatest values counts, known before unknown, so that every run takes the same one.
numbered_copies as (
    select
        *,
        row_number() over (
            partition by customer_key, customer_id
            order by
                registered_on desc nulls last,
                age desc nulls last, gender desc nulls last,
                region desc nulls last, membership_level desc nulls last
        ) as copy_number
    from keyed_customers
),

final as (
    select
        customer_key,
        customer_id,
        registered_on,
        age,
        gender,
        region,
        membership_level
    from numbered_copies
    where copy_number = 1
)

select * from final
