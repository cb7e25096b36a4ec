{#- The score of a value, from the lowest values that earn the scores 2 to 5: columns of one name, numbered.
    A score beyond the best value has no lowest value, and a comparison with null earns nothing. -#}
{% macro rfm_score_of(value, lowest_value) -%}
    case
        when {{ value }} >= {{ lowest_value }}_5 then 5
        when {{ value }} >= {{ lowest_value }}_4 then 4
        when {{ value }} >= {{ lowest_value }}_3 then 3
        when {{ value }} >= {{ lowest_value }}_2 then 2
        else 1
    end
{%- endmacro %}


{#- The stripe, about one percent wide, that a whole number is in. There may be as many distinct amounts
    as customers; ranked stripe by stripe, and side by side within stripes, no task sees them all. -#}
{% macro value_stripe(value) -%}
    cast(sign({{ value }}) * floor(100 * ln(1 + abs({{ value }}))) as bigint)
{%- endmacro %}
