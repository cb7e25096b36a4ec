{#- The thresholds are four columns, such as recency_lowest_2 to recency_lowest_5. If no value earns
    a score or a higher one, its threshold is null. A comparison with null is not true, so nobody gets
    the score. -#}
{% macro rfm_score_of(value, lowest_value) -%}
    case
        when {{ value }} >= {{ lowest_value }}_5 then 5
        when {{ value }} >= {{ lowest_value }}_4 then 4
        when {{ value }} >= {{ lowest_value }}_3 then 3
        when {{ value }} >= {{ lowest_value }}_2 then 2
        else 1
    end
{%- endmacro %}
