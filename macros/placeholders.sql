{#- Days that programs write when they do not know the date. -#}
{% macro placeholder_days() -%}
    date '0001-01-01', date '1753-01-01', date '1899-12-30', date '1899-12-31', date '1900-01-01',
    date '1970-01-01', date '9999-12-31'
{%- endmacro %}


{#- Texts that programs write when they do not know a value. -#}
{% macro is_placeholder_text(text) -%}
    lower(trim({{ text }})) in (
        '', 'null', '(null)', 'nil', 'nan', 'none', 'n/a', '#n/a', 'na', '<na>', 'n.a.', '\\n', '-', '--', '?', '-1',
        'unknown', 'undefined', 'missing', 'anonymous', 'guest', 'no customer', 'not set', '(not set)', 'uncategorized'
    )
{%- endmacro %}
