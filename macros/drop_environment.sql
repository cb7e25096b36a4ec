{% macro drop_environment() %}
    {% if target.name == 'prod' %}
        {% do exceptions.raise_compiler_error('prod is not dropped: name another target, as in --target dev') %}
    {% endif %}
    {% set results = graph.sources.values() | rejectattr('source_name', 'equalto', 'raw') | list %}
    {% set own = (graph.nodes.values() | list + results) | selectattr('package_name', 'equalto', 'customer_behavior') %}
    {% set schemas = [] %}
    {% for node in own if node.schema.startswith(target.schema ~ '_') %}
        {% do schemas.extend([node.schema, node.schema ~ '_builds']) %}
    {% endfor %}
    {% for schema in schemas | unique %}
        {% do run_query('drop database if exists ' ~ schema ~ ' cascade') %}
    {% endfor %}
    {% do log('Dropped what existed of ' ~ schemas | unique | sort | join(', '), info=true) %}
{% endmacro %}
