{#-
    A table that analysts can query without pause while it is rebuilt.

    What `marts.customers` names is a view of one finished version, a table of its own in the database
    `marts_builds`. A build writes a new version beside it, checks the model's contract and constraints on
    it (Spark enforces none of them), and only then points the view at it, in one step (`alter view`).
    A build that fails leaves the view as it was. The version before stays, for queries that still read
    it; anything older, and what a killed build left, is dropped.

    Needs an enforced contract: its types and descriptions make the table. Takes the configs `clustered_by`
    and `buckets`; the buckets are seen through the view.
-#}
{% materialization published_table, adapter='spark' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target = this.incorporate(type='view') -%}
    {%- set builds = this.schema ~ '_builds' -%}
    {%- set build = api.Relation.create(
        schema=builds,
        identifier=this.identifier ~ '__' ~ run_started_at.strftime('%Y%m%d%H%M%S%f'),
        type='table'
    ) -%}

    {{ run_hooks(pre_hooks) }}

    {% do run_query('create database if not exists ' ~ builds) %}
    {% set live = live_build(existing) %}
    {% do run_query(create_build(build, contract_columns(sql))) %}
    {% call statement('main') %}
        insert into {{ build }}
        {{ sql }}
    {% endcall %}
    {% do check_constraints(build) %}

    {% if existing is not none and not existing.is_view %}
        {% do adapter.drop_relation(existing) %}
        {% set existing = none %}
    {% endif %}
    {% if existing is none %}
        {% do run_query('create view ' ~ target ~ ' as select * from ' ~ build) %}
    {% else %}
        {% do run_query('alter view ' ~ target ~ ' as select * from ' ~ build) %}
    {% endif %}
    {% do run_query(
        'alter view ' ~ target ~ " set tblproperties ('comment' = " ~ sql_string(model.description) ~ ')'
    ) %}
    {% do drop_builds_but(build, live) %}

    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}


{#- The version that the published view shows, as `database.table`; none when there is no such view. -#}
{% macro live_build(view) %}
    {% if view is none or not view.is_view %}
        {{ return(none) }}
    {% endif %}
    {% for row in run_query('describe extended ' ~ view) if row[0] == 'View Text' %}
        {{ return(row[1].split(' from ')[-1].strip()) }}
    {% endfor %}
    {{ return(none) }}
{% endmacro %}


{#- The columns of a query as [name, type, description], held against the contract, precision of decimals
    included. Raises an error that lists every difference. -#}
{% macro contract_columns(query) %}
    {% set declared = {} %}
    {% for column in model.columns.values() %}
        {% do declared.update({column.name: column}) %}
    {% endfor %}
    {% set columns = [] %}
    {% set differences = [] %}
    {% for row in run_query('describe query ' ~ query) %}
        {% set column = declared.pop(row[0], none) %}
        {% if column is none %}
            {% do differences.append('the query returns ' ~ row[0] ~ ', which the YAML does not list') %}
        {% elif column.data_type | replace(' ', '') != row[1] %}
            {% do differences.append(
                row[0] ~ ' is ' ~ row[1] ~ ' in the query and ' ~ column.data_type ~ ' in the YAML'
            ) %}
        {% else %}
            {% do columns.append([row[0], row[1], column.description]) %}
        {% endif %}
    {% endfor %}
    {% for name in declared %}
        {% do differences.append('the YAML lists ' ~ name ~ ', which the query does not return') %}
    {% endfor %}
    {% if differences %}
        {% do exceptions.raise_compiler_error(
            'contract of ' ~ model.name ~ ' broken: ' ~ differences | join('; ')
        ) %}
    {% endif %}
    {{ return(columns) }}
{% endmacro %}


{% macro create_build(build, columns) %}
    create table {{ build }} (
        {%- for name, type, description in columns %}
        `{{ name }}` {{ type }} comment {{ sql_string(description) }}{{ ',' if not loop.last }}
        {%- endfor %}
    )
    using parquet
    {{ clustered_cols(label='clustered by') }}
    comment {{ sql_string(model.description) }}
{% endmacro %}


{#- Counts, in one query, the rows of a build that break each constraint of the model; drops the build and
    raises an error that names the broken ones. -#}
{% macro check_constraints(build) %}
    {% set checks = {} %}
    {% for column in model.columns.values() %}
        {% for constraint in column.constraints %}
            {% do checks.update(constraint_check(constraint, [column.name])) %}
        {% endfor %}
    {% endfor %}
    {% for constraint in model.constraints %}
        {% do checks.update(constraint_check(constraint, constraint.columns)) %}
    {% endfor %}
    {% if checks %}
        {% set counts = run_query('select ' ~ checks.values() | join(', ') ~ ' from ' ~ build).rows[0] %}
        {% set broken = [] %}
        {% for name in checks if counts[loop.index0] %}
            {% do broken.append(name ~ ' (' ~ counts[loop.index0] ~ ' rows)') %}
        {% endfor %}
        {% if broken %}
            {% do run_query('drop table ' ~ build) %}
            {% do exceptions.raise_compiler_error(
                'constraints of ' ~ model.name ~ ' broken, nothing published: ' ~ broken | join('; ')
            ) %}
        {% endif %}
    {% endif %}
{% endmacro %}


{#- {name: SQL that counts the rows breaking it}. As in standard SQL, a check passes on null and unique
    ignores rows with a null; a primary key is both unique and not null. -#}
{% macro constraint_check(constraint, columns) %}
    {% set list = columns | join(', ') %}
    {% set repeated = 'count(' ~ columns | join(' || ') ~ ') - count(distinct ' ~ list ~ ')' %}
    {% set nulls = 'count_if(' ~ columns | join(' is null or ') ~ ' is null)' %}
    {% if constraint.type == 'not_null' %}
        {{ return({list ~ ' is not null': nulls}) }}
    {% elif constraint.type == 'unique' %}
        {{ return({list ~ ' is unique': repeated}) }}
    {% elif constraint.type == 'primary_key' %}
        {{ return({list ~ ' is the primary key': nulls ~ ' + ' ~ repeated}) }}
    {% elif constraint.type == 'check' %}
        {% set name = constraint.name or constraint.expression %}
        {{ return({name: 'count_if(not (' ~ constraint.expression ~ '))'}) }}
    {% else %}
        {% do exceptions.raise_compiler_error(
            model.name ~ ': constraint ' ~ constraint.type ~ ' is not supported'
        ) %}
    {% endif %}
{% endmacro %}


{#- Drops all versions of a model but the two that are named. -#}
{% macro drop_builds_but(build, live) %}
    {% set prefix = model.alias ~ '__' %}
    {% for row in run_query('show tables in ' ~ build.schema ~ " like '" ~ prefix ~ "*'") %}
        {% set table = build.schema ~ '.' ~ row[1] %}
        {% if table not in [build.schema ~ '.' ~ build.identifier, live] %}
            {% do run_query('drop table if exists ' ~ table) %}
        {% endif %}
    {% endfor %}
{% endmacro %}


{% macro sql_string(text) -%}
    '{{ text | trim | replace('\\', '\\\\') | replace("'", "\\'") }}'
{%- endmacro %}
