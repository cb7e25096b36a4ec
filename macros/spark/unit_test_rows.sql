{#- dbt writes the rows of a unit test as a union of selects. Spark plans and runs each of these selects by itself; a list
    of values is one table, and takes a quarter off the time of all unit tests. -#}
{% macro get_fixture_sql(rows, column_name_to_data_types) -%}
    {%- set types = column_name_to_data_types or {} -%}
    {%- if not types -%}
        {%- for column in adapter.get_columns_in_relation(this) -%}
            {%- do types.update({column.name | lower: column.data_type}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- if rows and types -%}
        {{ customer_behavior.rows_as_values(rows, types) }}
    {%- else -%}
        {{ dbt.get_fixture_sql(rows, column_name_to_data_types) }}
    {%- endif -%}
{%- endmacro %}


{% macro get_expected_sql(rows, column_name_to_data_types, column_name_to_quoted) -%}
    {%- set types = {} -%}
    {%- for name in rows[0] | default([]) -%}
        {%- do types.update({name | lower: column_name_to_data_types[name | lower]}) -%}
    {%- endfor -%}
    {%- if types -%}
        {{ customer_behavior.rows_as_values(rows, types) }}
    {%- else -%}
        {{ dbt.get_expected_sql(rows, column_name_to_data_types, column_name_to_quoted) }}
    {%- endif -%}
{%- endmacro %}


{% macro rows_as_values(rows, types) -%}
    select * from values
    {%- for row in rows -%}
        {%- set given = format_row(row, types) -%}
        {%- set values = [] -%}
        {%- for name, type in types.items() -%}
            {%- do values.append(given[name] or safe_cast('null', type)) -%}
        {%- endfor %}
        ({{ values | map('trim') | join(', ') }}){{ ',' if not loop.last }}
    {%- endfor %}
    as unit_test_rows ({{ types | join(', ') }})
{%- endmacro %}
