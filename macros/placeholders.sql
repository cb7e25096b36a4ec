{#- Days that programs write when they do not know the date. -#}
{% macro placeholder_days() -%}
    date '0001-01-01', date '1753-01-01', date '1899-12-30', date '1899-12-31', date '1900-01-01',
    date '1970-01-01', date '9999-12-31'
{%- endmacro %}


{#- Texts that programs write when they do not know a value. -#}
{% macro placeholder_texts() -%}
    '', 'null', '(null)', 'nil', 'nan', 'n/a', '#n/a', '<na>', 'n.a.', '\\n', '-', '--', '?', 'unknown', 'undefined',
    'missing', 'not set', '(not set)'
{%- endmacro %}


{% macro known_text(text) -%}
    case when lower(trim({{ text }})) not in ({{ placeholder_texts() }}, 'uncategorized') then trim({{ text }}) end
{%- endmacro %}
