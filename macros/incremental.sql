{#- Adding rows to an incremental model is right only if its other rows are still right. A changed macro or variable is
    not noticed here: `make run` notices it, plain dbt does not. -#}
{% macro should_full_refresh() %}
    {% set configured = config.get('full_refresh') %}
    {% set asked = flags.FULL_REFRESH if configured is none else configured %}
    {% if asked or config.get('materialized') != 'incremental' %}
        {{ return(asked) }}
    {% endif %}
    {{ return(table_property(this, 'built_from') != origin_of_lines()) }}
{% endmacro %}


{#- When ml/tables.py replaces a table, it stores a new version in its properties. A table without a version, such as
    one that another program writes, counts as changed in every run. So does the model in the var transactions_model.
    With `--empty`, the text below contains a query instead of the table's name. So it differs, and the next run
    rebuilds the model. -#}
{% macro origin_of_lines(node=model) %}
    {% set lines = source('raw', 'transactions') %}
    {% set version = table_property(lines, 'version') if not var('transactions_model') %}
    {{ return('lines ' ~ (version or run_started_at) ~ ' of ' ~ lines ~ ', models ' ~ local_md5(code_before(node) | join)) }}
{% endmacro %}


{% macro code_before(node, found={}) %}
    {% do found.update({node.unique_id: node.checksum.checksum}) %}
    {% for parent in node.depends_on.nodes if parent in graph.nodes and parent not in found %}
        {% do customer_behavior.code_before(graph.nodes[parent], found) %}
    {% endfor %}
    {{ return(found.values() | sort) }}
{% endmacro %}


{#- The result is a literal, because Spark pushes only literals down to the source of the lines. -#}
{% macro last_batch() %}
    {% if execute %}
        {% set found = run_query("select string(coalesce(max(batch), timestamp'0001-01-01')) from " ~ this) %}
        {{ return('timestamp' ~ sql_string(found.rows[0][0])) }}
    {% endif %}
    {{ return('null') }}
{% endmacro %}


{% macro note_origin_of_lines() %}
    alter table {{ this }} set tblproperties ('built_from' = '{{ origin_of_lines() }}')
{% endmacro %}


{% macro table_property(relation, name) %}
    {% for row in run_query('show tblproperties ' ~ relation.render()) if row[0] == name %}
        {{ return(row[1]) }}
    {% endfor %}
    {{ return(none) }}
{% endmacro %}


{#- Not a ref: the history depends on the models that call this macro, so a ref would be a cycle. -#}
{% macro segment_history() %}
    {{ return(graph.nodes['model.' ~ model.package_name ~ '.customer_segment_history'] if execute) }}
{% endmacro %}


{% macro origin_of_history() %}
    {{ return(origin_of_lines(segment_history()) if execute) }}
{% endmacro %}


{% macro published_months() %}
    {% if execute and not flags.FULL_REFRESH %}
        {% set node = segment_history() %}
        {% set history = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% if history is not none and build_exists(history) %}
            {% if table_property(history, 'built_from') == origin_of_history() %}
                {% set last_batch = 'try_cast(' ~ sql_string(table_property(history, 'last_batch')) ~ ' as timestamp)' %}
                {{ return('select distinct month_end, ' ~ last_batch ~ ' as last_batch from ' ~ history) }}
            {% endif %}
        {% endif %}
    {% endif %}
    {{ return('select cast(null as date) as month_end, cast(null as timestamp) as last_batch where false') }}
{% endmacro %}


{% macro note_history() %}
    {% if execute %}
        {% set found = run_query('select max(built_from), string(max(last_batch)) from ' ~ ref('int_history_months')) %}
        {% set built_from, last_batch = found.rows[0].values() %}
        alter view {{ this }} set tblproperties ('built_from' = '{{ built_from }}', 'last_batch' = '{{ last_batch }}')
    {% endif %}
{% endmacro %}
