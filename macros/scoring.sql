{#- Numbers from 1 (worst) to 5 (best): with s the share of the *other* scored customers that are strictly
    worse, the score is least(5, 1 + floor(5 * s)). Whole-number division keeps it exact. -#}
{% macro rfm_score(worse_customers, scored_customers) -%}
    cast(least(5, 1 + (5 * {{ worse_customers }}) div greatest({{ scored_customers }} - 1, 1)) as int)
{%- endmacro %}


{#- The score of a value, from the lowest values that earn the scores 2 to 5: columns of one name, numbered.
    A score beyond the best value has no threshold, and a comparison with null earns nothing. -#}
{% macro rfm_score_of(goodness, thresholds) -%}
    case
        when {{ goodness }} >= {{ thresholds }}_5 then 5
        when {{ goodness }} >= {{ thresholds }}_4 then 4
        when {{ goodness }} >= {{ thresholds }}_3 then 3
        when {{ goodness }} >= {{ thresholds }}_2 then 2
        else 1
    end
{%- endmacro %}


{#- The stripe, about one percent wide, that a whole number is in. There may be as many distinct amounts
    as customers; ranked stripe by stripe, and side by side within stripes, no task sees them all. -#}
{% macro value_stripe(value) -%}
    cast(sign({{ value }}) * floor(100 * ln(1 + abs({{ value }}))) as bigint)
{%- endmacro %}
