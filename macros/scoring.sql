{#- There are four thresholds, for example recency_lowest_2 to recency_lowest_5. A threshold is null if no
    customer earns its score or a higher one. A comparison with null is not true, so the next lower score is
    tried. -#}
{% macro rfm_score_of(value, lowest_value) -%}
    case
        when {{ value }} >= {{ lowest_value }}_5 then 5
        when {{ value }} >= {{ lowest_value }}_4 then 4
        when {{ value }} >= {{ lowest_value }}_3 then 3
        when {{ value }} >= {{ lowest_value }}_2 then 2
        else 1
    end
{%- endmacro %}
