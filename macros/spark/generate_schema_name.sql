{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name and node.package_name != project_name -%}
        {{ target.schema }}_{{ node.package_name }}_{{ custom_schema_name }}
    {%- elif custom_schema_name and target.name == 'prod' -%}
        {{ custom_schema_name }}
    {%- else -%}
        {{ default__generate_schema_name(custom_schema_name, node) }}
    {%- endif -%}
{%- endmacro %}
