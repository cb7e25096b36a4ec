-- Which categories sell together, more often than chance would have it?
--
-- Read: of the orders with the antecedent, the share `confidence` holds the consequent too; that is
-- `lift` times what chance would give.
-- Beware: pairs in under ten orders are left out, but among many pairs some stand out by chance.

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
