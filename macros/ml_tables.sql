{#- The tables that the PySpark steps under ml/ fill, as the source `ml` declares them. They exist, empty,
    before any step has run, so that the models that join them build at any time. A table that was created
    with other columns is created again: its step fills it in the same run. -#}
{% macro create_ml_tables() %}
    {% if execute %}
        {% do run_query("create database if not exists ml") %}
        {% set existing = {} %}
        {% for row in run_query("show table extended in ml like '*'").rows %}
            {% do existing.update({row['tableName']: row['information']}) %}
        {% endfor %}
        {% for table in graph.sources.values() | selectattr('source_name', 'equalto', 'ml') %}
            {% set columns = [] %}
            {% for column in table.columns.values() %}
                {% do columns.append(column.name ~ ' ' ~ column.data_type) %}
            {% endfor %}
            {% set columns = columns | join(', ') %}
            {% if 'columns=' ~ columns not in existing.get(table.name, '') %}
                {% do run_query("drop table if exists ml." ~ table.name) %}
                {% do run_query(
                    "create table ml." ~ table.name ~ " (" ~ columns ~ ") using parquet"
                    ~ " tblproperties ('columns' = '" ~ columns ~ "')"
                ) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
