{#- `make run` renders this macro before it changes anything (server/parameters.py), so this is the only check of the
    parameter. -#}
{% macro given_as_of_date() -%}
    {%- set text = (var('as_of_date', '') or env_var('AS_OF_DATE', '')) | string -%}
    {%- if not text -%}
        cast(null as date)
    {%- else -%}
        {%- set is_date = modules.re.fullmatch('[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])', text) -%}
        {%- if is_date -%}
            {#- Counting days from the first of the month turns February 30 into a day in March. -#}
            {%- set first = modules.datetime.date(text[:4] | int, text[5:7] | int, 1) -%}
            {%- set day = first + modules.datetime.timedelta(text[8:] | int - 1) -%}
            {%- set is_date = day.isoformat() == text -%}
        {%- endif -%}
        {%- if not is_date -%}
            {{ exceptions.raise_compiler_error("AS_OF_DATE must be a date such as 2026-06-30, not '" ~ text ~ "'") }}
        {%- endif -%}
        date '{{ text }}'
    {%- endif -%}
{%- endmacro %}
