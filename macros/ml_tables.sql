{#- Creates the tables that the PySpark steps under ml/ fill, with the columns that the source `ml`
    declares. The macro creates the tables empty before the first step runs, so that dbt can always
    build the models that join them. If a table has other column names or buckets, from an earlier
    version, the macro drops it and creates it again. Its step fills it in the same run. -#}
{% macro create_ml_tables() %}
    {% if execute %}
        {% do run_query("create database if not exists ml") %}
        {% set existing = {} %}
        {% for database, name, is_temporary, information in run_query("show table extended in ml like '*'") %}
            {% set names = modules.re.findall('[|]-- ([a-z0-9_]+): ', information) %}
            {% set buckets = modules.re.findall('Num Buckets: ([0-9]+)', information) %}
            {% do existing.update({name: names + buckets}) %}
        {% endfor %}
        {% for table in graph.sources.values() | selectattr('source_name', 'equalto', 'ml') %}
            {% set names = table.columns.values() | map(attribute='name') | list %}
            {% set key = table.config.meta.get('clustered_by') %}
            {% set buckets = [var('buckets') | string] if key else [] %}
            {% if existing.get(table.name) != names + buckets %}
                {% set columns = [] %}
                {% for column in table.columns.values() %}
                    {% do columns.append(column.name ~ ' ' ~ column.data_type) %}
                {% endfor %}
                {% do run_query("drop table if exists ml." ~ table.name) %}
                {% do run_query(
                    "create table ml." ~ table.name ~ " (" ~ columns | join(', ') ~ ") using parquet "
                    ~ ('clustered by ' ~ sorted_buckets(key, var('buckets')) if key)
                ) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
