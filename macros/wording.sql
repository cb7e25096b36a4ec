{#- A whole number and its noun: `1 customer`, `1,234 customers`. -#}
{% macro counted(number, noun) -%}
    concat(format_number({{ number }}, 0), if({{ number }} = 1, ' {{ noun }}', ' {{ noun }}s'))
{%- endmacro %}


{#- A fraction as a percentage: `12.3%`; null stays null. Rounded first, half up: format_number would round
    half to even. -#}
{% macro percentage(fraction) -%}
    concat(format_number(round(100 * {{ fraction }}, 1), 1), '%')
{%- endmacro %}
