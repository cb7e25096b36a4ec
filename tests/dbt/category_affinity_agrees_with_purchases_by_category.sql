-- The orders with a category are not those of `purchases_by_category`, or two categories are bought
-- together more often one way round than the other.
with pairs as (
    select * from {{ ref('category_affinity') }}
),

categories as (
    select * from {{ ref('purchases_by_category') }}
),

final as (
    select
        pairs.*,
        mirrored.orders_both as mirrored_orders_both,
        categories.orders as expected_antecedent_orders
    from pairs
    left join pairs as mirrored
        on
            pairs.antecedent = mirrored.consequent
            and pairs.consequent = mirrored.antecedent
    left join categories on pairs.antecedent = categories.product_category
    where
        pairs.orders_both is distinct from mirrored.orders_both
        or pairs.lift is distinct from mirrored.lift
        -- A source's own `Unknown` is one row with the lines without a category there.
        or (
            pairs.antecedent is distinct from 'Unknown'
            and cast(round(pairs.orders_both / pairs.confidence) as bigint)
            is distinct from categories.orders
        )
)

select * from final
