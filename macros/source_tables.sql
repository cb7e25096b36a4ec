{#- The tables exist before the first step runs, so that dbt can always build the models that read them. -#}
{% macro create_source_tables(name) %}
    {% if execute %}
        {% set own = graph.sources.values() | selectattr('package_name', 'equalto', 'customer_behavior') %}
        {% set tables = own | selectattr('source_name', 'equalto', name) | list %}
        {% set schema = tables[0].schema %}
        {% do run_query("create database if not exists " ~ schema) %}
        {% set existing = {} %}
        {% set spark_names = {'int': 'integer', 'bigint': 'long'} %}
        {% for database, table, is_temporary, information in run_query("show table extended in " ~ schema ~ " like '*'") %}
            {% set columns = modules.re.findall('[|]-- ([a-z0-9_]+: [a-z0-9(),]+)', information) %}
            {% set buckets = modules.re.findall('Num Buckets: ([0-9]+)', information) %}
            {% do existing.update({table: columns + buckets}) %}
        {% endfor %}
        {% for table in tables %}
            {% set columns = [] %}
            {% set definitions = [] %}
            {% for column in table.columns.values() %}
                {% do columns.append(column.name ~ ': ' ~ spark_names.get(column.data_type, column.data_type)) %}
                {% do definitions.append(column.name ~ ' ' ~ column.data_type) %}
            {% endfor %}
            {% set key = table.config.meta.get('clustered_by') %}
            {% set partition = table.config.meta.get('partitioned_by') %}
            {% set buckets = [var('buckets') | string] if key else [] %}
            {% if existing.get(table.name) != columns + buckets %}
                {% set relation = schema ~ '.' ~ table.name %}
                {% if name == 'audit' and table.name in existing %}
                    {% do run_query('alter table ' ~ relation ~ ' rename to ' ~ relation ~ '_until_' ~ run_stamp()) %}
                {% endif %}
                {% do run_query("drop table if exists " ~ relation) %}
                {% do run_query(
                    "create table " ~ relation ~ " (" ~ definitions | join(', ') ~ ") using parquet "
                    ~ ('partitioned by (' ~ partition ~ ') ' if partition)
                    ~ ('clustered by ' ~ sorted_buckets(key, var('buckets')) if key)
                ) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}
