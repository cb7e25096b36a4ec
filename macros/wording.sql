{#- A whole number and its noun, as in `1 customer` or `1,234 customers`. -#}
{% macro counted(number, noun) -%}
    concat(format_number({{ number }}, 0), if({{ number }} = 1, ' {{ noun }}', ' {{ noun }}s'))
{%- endmacro %}


{#- A fraction as a percentage, as in `12.3%`. Rounded first, because format_number rounds half to even. -#}
{% macro percentage(fraction) -%}
    concat(format_number(round(100 * {{ fraction }}, 1), 1), '%')
{%- endmacro %}


{#- Replaces `{level}` in a text by a level in words, as in `Bank transfer` for `bank_transfer`. -#}
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
