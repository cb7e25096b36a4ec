{#- A table of the source `raw`. A project that has installed this one names models of its own instead, in the vars
    transactions_model and customers_model. -#}
{% macro raw_table(name) %}
    {% set model = var(name ~ '_model', '') %}
    {{ return(ref(project_name, model) if model else source('raw', name)) }}
{% endmacro %}
