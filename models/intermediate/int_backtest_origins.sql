with as_of as (
    select * from {{ ref('int_as_of_date') }}
),

numbers as (
    select explode(sequence(0, {{ var('backtests') }})) as holdouts_back
),

final as (
    select
        numbers.holdouts_back,
        date_sub(as_of.as_of_date, numbers.holdouts_back * {{ var('holdout_days') }}) as origin_on,
        date_sub(
            as_of.as_of_date, greatest(numbers.holdouts_back - 1, 0) * {{ var('holdout_days') }}
        ) as holdout_ends_on
    from as_of
    cross join numbers
    where as_of.as_of_date is not null
)

select * from final
