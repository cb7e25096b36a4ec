{% macro cents(amount) -%}
    cast({{ amount }} * 100 as bigint)
{%- endmacro %}


{% macro money(cents) -%}
    cast({{ cents }} * 0.01 as decimal(18, 2))
{%- endmacro %}


{#- Both numbers are whole, so the one division is exact to the last bit in any order of rows. -#}
{% macro average_money(cents, count) -%}
    cast({{ cents }} as double) / nullif(100 * {{ count }}, 0)
{%- endmacro %}


{% macro share(part, whole) -%}
    cast({{ part }} as double) / nullif({{ whole }}, 0)
{%- endmacro %}
