{#-
    A table that analysts can query without interruption while it is rebuilt (write-audit-publish). README.md
    in this folder explains why and how. For example, `marts.customers` is a view of one finished
    build, a table in the database `marts_builds`.

    Macros call each other with the name of this project, so that models of other projects find them.
-#}
{% materialization published_table, adapter='spark' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='view') -%}
    {%- set live = customer_behavior.live_build(existing) -%}
    {%- set published = customer_behavior.published_partitions(existing) -%}
    {%- set kept = customer_behavior.kept_partitions(published) -%}
    {%- set build = customer_behavior.build_of(this, live if kept) -%}

    {{ run_hooks(pre_hooks) }}

    {% set columns = customer_behavior.contract_columns(sql) %}
    {% set is_addition = kept | length > 0 %}
    {% set rows = customer_behavior.written_rows(build, is_addition) %}
    {# Before the build is written, so that a constraint of an unknown type fails at once. #}
    {% set checks = customer_behavior.constraint_checks(rows) %}
    {% if live is none %}
        {% do run_query('create database if not exists ' ~ build.schema) %}
    {% endif %}
    {% if not is_addition %}
        {% do run_query(customer_behavior.create_build(build, columns)) %}
    {% endif %}
    {% call statement('main') %}
        insert into {{ build }} by name
        {{ sql if not customer_behavior.kept_by() else customer_behavior.with_run(sql) }}
    {% endcall %}
    {% set measured = customer_behavior.check_constraints(build, rows, columns, checks, is_addition) %}

    {% if existing is not none and not existing.is_view %}
        {% do adapter.drop_relation(existing) %}
        {% set existing = none %}
    {% endif %}
    {% set verb = 'create' if existing is none else 'alter' %}
    {% set written = customer_behavior.partitions_of(build) %}
    {% set partitions = kept + written | selectattr(1, 'equalto', customer_behavior.run_stamp()) | list %}
    {% do run_query(verb ~ ' view ' ~ target ~ ' as ' ~ customer_behavior.select_build(build, columns, partitions)) %}
    {% if is_addition %}
        {% set measures = customer_behavior.measures(columns) | join(', ') %}
        {% set measured = run_query('select ' ~ measures ~ ' from ' ~ target).rows[0].values() %}
    {% endif %}
    {% do run_query(customer_behavior.set_view_properties(target, *measured)) %}
    {% do customer_behavior.drop_partitions(build, written | reject('in', partitions + published)) %}
    {% do customer_behavior.drop_builds(this, keep=[build.identifier, live]) %}

    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}


{% macro builds_schema(relation) -%}
    {{ return(relation.schema ~ '_builds') }}
{%- endmacro %}


{% macro run_stamp() -%}
    {{ return(run_started_at.strftime('%Y%m%d%H%M%S%f')) }}
{%- endmacro %}


{% macro build_of(relation, live=none) %}
    {{ return(api.Relation.create(
        schema=customer_behavior.builds_schema(relation),
        identifier=live or (relation.identifier | lower) ~ '__' ~ customer_behavior.run_stamp(),
        type='table'
    )) }}
{% endmacro %}


{#- Matches the builds of one model only: the pattern of `orders` does not match builds of `orders__late`. -#}
{% macro build_pattern(relation) -%}
    {{ return(modules.re.escape(relation.identifier | lower) ~ '__[0-9]{20}') }}
{%- endmacro %}


{#- The build that a view reads. dbt has the text of each view from its list of relations. -#}
{% macro live_build(view) %}
    {% if view is not none and view.is_view %}
        {% set text = '(?m)^View Text: .*[.](' ~ customer_behavior.build_pattern(view) ~ ')(?: where .*)?$' %}
        {% set found = modules.re.search(text, view.information) %}
        {{ return(found.group(1) if found else none) }}
    {% endif %}
    {{ return(none) }}
{% endmacro %}


{#- Whether the build of a published view exists: somebody may have dropped it. -#}
{% macro build_exists(view) %}
    {% set live = customer_behavior.live_build(view) %}
    {{ return(
        live is not none
        and run_query('show tables in ' ~ customer_behavior.builds_schema(view) ~ " like '" ~ live ~ "'") | length > 0
    ) }}
{% endmacro %}


{#- A metastore accepts at most 256 characters in a column's comment. With a longer one, `create table` fails only after
    20 seconds, and all other statements wait. -#}
{% macro create_build(build, columns) %}
    create table {{ build }} (
        {%- for name, type, description in columns %}
        {{ adapter.quote(name) }} {{ type }}
            comment {{ customer_behavior.sql_string(description[:256]) }}{{ ',' if not loop.last }}
        {%- endfor %}
        {%- if customer_behavior.kept_by() %}, run string comment 'Stamp of the run that wrote the row.'{% endif %}
    )
    using parquet
    {% if customer_behavior.kept_by() -%}
        partitioned by ({{ customer_behavior.kept_by() }}, run)
    {%- else -%}
        {{ partition_cols(label='partitioned by') }}
    {%- endif %}
    {{ clustered_cols(label='clustered by') }}
    comment {{ customer_behavior.sql_string(model.description) }}
{% endmacro %}


{#- Names the columns, because Spark moves partition columns to the end of a table. -#}
{% macro select_build(build, columns, partitions) %}
    {% set names = [] %}
    {% for name, type, description in columns %}
        {% do names.append(adapter.quote(name)) %}
    {% endfor %}
    {% set condition = ' where ' ~ customer_behavior.any_partition(partitions) if customer_behavior.kept_by() else '' %}
    {{ return('select ' ~ names | join(', ') ~ ' from ' ~ build ~ condition) }}
{% endmacro %}


{% macro measures(columns) %}
    {% set audited = config.get('meta', {}).get('audited_column') %}
    {{ return(['count(*)', 'sum(' ~ audited ~ ')' if audited in columns | map(attribute=0) else 'null']) }}
{% endmacro %}


{#- A view has no statistics. Both measures are stored as its properties, for the docs and for the source `audit`. -#}
{% macro set_view_properties(view, row_count, audited_sum) %}
    alter view {{ view }} set tblproperties (
        'comment' = {{ customer_behavior.sql_string(model.description) }},
        'row_count' = '{{ row_count }}',
        'audited_sum' = '{{ audited_sum }}'
    )
{% endmacro %}


{#- `like` only narrows the list, since `_` and `*` match too much; the regular expression decides. -#}
{% macro drop_builds(relation, keep=[]) %}
    {% set schema = customer_behavior.builds_schema(relation) %}
    {% set tables = run_query('show tables in ' ~ schema ~ " like '" ~ relation.identifier ~ "__*'") %}
    {% set pattern = customer_behavior.build_pattern(relation) %}
    {% for row in tables if modules.re.fullmatch(pattern, row[1]) and row[1] not in keep %}
        {% do run_query('drop table if exists ' ~ schema ~ '.' ~ row[1]) %}
    {% endfor %}
{% endmacro %}


{#- The tables of failures are dropped one by one, because their schema may hold other tables too. -#}
{% macro drop_earlier_builds() %}
    {% set tests = graph.nodes.values() | selectattr('resource_type', 'equalto', 'test') %}
    {% for node in tests | selectattr('package_name', 'equalto', 'customer_behavior') %}
        {% set failures = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% if failures is not none %}
            {% do adapter.drop_relation(failures) %}
        {% endif %}
    {% endfor %}
    {% for node in graph.nodes.values() if node.config.materialized == 'published_table' %}
        {% set view = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% if view is not none %}
            {% do customer_behavior.drop_builds(view, keep=[customer_behavior.live_build(view)]) %}
        {% endif %}
    {% endfor %}
{% endmacro %}


{% macro drop_unused_builds(results) %}
    {% if execute %}
        {% set models = [] %}
        {% for result in results if result.status == 'success' and result.node.resource_type == 'model'
            and result.node.config.materialized != 'published_table' %}
            {% do models.append(result.node) %}
        {% endfor %}
        {% set schemas = run_query('show databases').columns[0].values() if models else [] %}
        {% for node in models %}
            {% set relation = api.Relation.create(schema=node.schema, identifier=node.alias) %}
            {% if customer_behavior.builds_schema(relation) in schemas %}
                {% do customer_behavior.drop_builds(relation) %}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}


{% macro sql_string(text) -%}
    '{{ text | trim | replace('\\', '\\\\') | replace("'", "\\'") }}'
{%- endmacro %}
