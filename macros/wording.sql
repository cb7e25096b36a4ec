{#- A whole number and its noun: `1 customer`, `1,234 customers`. -#}
{% macro counted(number, noun) -%}
    concat(format_number({{ number }}, 0), if({{ number }} = 1, ' {{ noun }}', ' {{ noun }}s'))
{%- endmacro %}


{#- A fraction as a percentage: `12.3%`; null stays null. Rounded first, half up: format_number would round
    half to even. -#}
{% macro percentage(fraction) -%}
    concat(format_number(round(100 * {{ fraction }}, 1), 1), '%')
{%- endmacro %}


{#- A text with `{level}` in it, for a level such as `bank_transfer`: `Bank transfer`. Without a level the text
    itself. -#}
{% macro with_level(text, level) -%}
    coalesce(
        replace(
            {{ text }},
            '{level}',
            concat(upper(left({{ level }}, 1)), replace(substr({{ level }}, 2), '_', ' '))
        ),
        {{ text }}
    )
{%- endmacro %}
