{% macro counted(number, noun) -%}
    concat(format_number({{ number }}, 0), if({{ number }} = 1, ' {{ noun }}', ' {{ noun }}s'))
{%- endmacro %}


{#- Rounded first, because format_number rounds half to even. -#}
{% macro percentage(fraction) -%}
    concat(format_number(round(100 * {{ fraction }}, 1), 1), '%')
{%- endmacro %}


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
