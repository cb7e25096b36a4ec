{% macro given_as_of_date() -%}
    {%- set given = env_var('AS_OF_DATE', '') -%}
    {%- if not given -%}
        cast(null as date)
    {%- elif modules.re.fullmatch('[0-9]{4}-[0-9]{2}-[0-9]{2}', given) -%}
        date '{{ given }}'
    {%- else -%}
        {{ exceptions.raise_compiler_error("AS_OF_DATE must be a date such as 2026-06-30, not '" ~ given ~ "'") }}
    {%- endif -%}
{%- endmacro %}
