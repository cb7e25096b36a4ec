-- Which categories sell together more often than by chance?
--
-- Read: confidence is the share of the orders with the antecedent that also have the consequent. It is
-- lift times the share expected by chance.
-- Beware: pairs in fewer than ten orders are left out, but among many pairs some stand out by chance.

with pairs as (
    select * from {{ ref('category_affinity') }}
),

final as (
    select
        antecedent,
        consequent,
        orders_both,
        support,
        confidence,
        lift
    from pairs
    where orders_both >= 10 and lift > 1
)

select * from final
order by lift desc, antecedent asc, consequent asc
