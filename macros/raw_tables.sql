{% macro raw_table(name) %}
    {% set model = var(name ~ '_model', '') %}
    {{ return(ref(project_name, model) if model else source('raw', name)) }}
{% endmacro %}
