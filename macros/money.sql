{% macro money(cents) -%}
    cast({{ cents }} * 0.01 as decimal(18, 2))
{%- endmacro %}


{% macro quantity(thousandths) -%}
    cast({{ thousandths }} * 0.001 as decimal(18, 3))
{%- endmacro %}


{#- A single division of whole numbers: the order of the rows does not change the last bit. -#}
{% macro average_money(cents, count) -%}
    cast({{ cents }} as double) / nullif(100 * {{ count }}, 0)
{%- endmacro %}


{% macro share(part, whole) -%}
    cast({{ part }} as double) / nullif({{ whole }}, 0)
{%- endmacro %}


{#- Less than a year counts as a year, so that a few good weeks are not extrapolated. The cast rounds half up. -#}
{% macro yearly_pace(revenue, days) -%}
    cast(greatest({{ revenue }}, 0) * 365 / greatest({{ days }}, 365) as decimal(18, 2))
{%- endmacro %}
