{#- An incremental model is built anew on `--full-refresh`, and whenever adding to what it has would be wrong:
    when that came from other raw lines, or from other SQL. This takes the place of dbt's own macro. -#}
{% macro should_full_refresh() %}
    {% set configured = config.get('full_refresh') %}
    {% set asked = flags.FULL_REFRESH if configured is none else configured %}
    {% if asked or config.get('materialized') != 'incremental' %}
        {{ return(asked) }}
    {% endif %}
    {{ return(table_property(this, 'built_from') != origin_of_lines()) }}
{% endmacro %}


{#- ml/session.py gives each table that it writes anew a version. Lines that came in another way have none,
    and as nobody can tell what became of them, they are never those from before. With `--empty` the relation
    prints as a query for no lines: what is built from that is built anew by the next run. -#}
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
