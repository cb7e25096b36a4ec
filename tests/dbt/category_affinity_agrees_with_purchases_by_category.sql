-- Fails when the orders with a category differ from `purchases_by_category`, or when the two rows of a
-- pair of categories differ.
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
        -- In `purchases_by_category`, a category that the source calls `Unknown` also holds the lines
        -- without a category.
        or (
            pairs.antecedent is distinct from 'Unknown'
            and cast(round(pairs.orders_both / pairs.confidence) as bigint)
            is distinct from categories.orders
        )
)

select * from final
