{#- Replaces dbt's own macro. An incremental model is rebuilt on `--full-refresh`, and also when its rows come
    from other raw lines or from other SQL: adding new rows to them would be wrong. -#}
{% macro should_full_refresh() %}
    {% set configured = config.get('full_refresh') %}
    {% set asked = flags.FULL_REFRESH if configured is none else configured %}
    {% if asked or config.get('materialized') != 'incremental' %}
        {{ return(asked) }}
    {% endif %}
    {{ return(table_property(this, 'built_from') != origin_of_lines()) }}
{% endmacro %}


{#- ml/tables.py gives each table that it replaces a version. A table that was written in another way has none,
    so its lines count as changed in every run. With `--empty` the relation prints as a query without lines, so
    the next run rebuilds the model. -#}
{% macro origin_of_lines() %}
    {% set lines = source('raw', 'transactions') %}
    {% set version = table_property(lines, 'version') or run_started_at %}
    {{ return('lines ' ~ version ~ ' of ' ~ lines ~ ', model ' ~ model.checksum.checksum) }}
{% endmacro %}


{% macro note_origin_of_lines() %}
    alter table {{ this }} set tblproperties ('built_from' = '{{ origin_of_lines() }}')
{% endmacro %}


{#- None when the table has no such property. -#}
{% macro table_property(relation, name) %}
    {% for row in run_query('show tblproperties ' ~ relation.render()) if row[0] == name %}
        {{ return(row[1]) }}
    {% endfor %}
    {{ return(none) }}
{% endmacro %}
