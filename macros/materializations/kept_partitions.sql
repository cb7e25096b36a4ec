{#-
    With `kept_by` in its meta, a published table keeps what has not changed. The build is partitioned by that column
    and by `run`, the stamp of the run that wrote the row. The query returns only the rows of dates that are new or have
    changed, and a run adds them to the live build. The text of the view lists the partitions to show. So altering the
    view publishes all of them in one step, and until then nobody sees them.

    A partition is a pair: a date of the column, and a run.
-#}


{#- The column of dates, or none if every build is a new one. -#}
{% macro kept_by() %}
    {{ return(config.get('meta', {}).get('kept_by')) }}
{% endmacro %}


{#- The partitions that a view shows. -#}
{% macro published_partitions(view) %}
    {% set found = [] %}
    {% if customer_behavior.kept_by() and customer_behavior.live_build(view) %}
        {% set partition = customer_behavior.kept_by() ~ " = date '([^']+)' and run = '([0-9]{20})'" %}
        {% do found.extend(modules.re.findall(partition, view.information)) %}
    {% endif %}
    {{ return(found | unique | list) }}
{% endmacro %}


{#- The published partitions that this run keeps. The model that the meta `kept_in` names has one row per date; its
    column `is_kept` tells whether the date is kept. With `--defer`, that model may be of another environment, which keeps
    other partitions. -#}
{% macro kept_partitions(published) %}
    {% set kept = [] %}
    {% set kept_in = config.get('meta', {}).get('kept_in') %}
    {% if kept_in and ref(kept_in).schema != graph.nodes['model.' ~ model.package_name ~ '.' ~ kept_in].schema %}
        {% do exceptions.raise_compiler_error(
            model.name ~ ' cannot be built from ' ~ ref(kept_in) ~ ': it is of another environment, which keeps other dates; '
            ~ 'add --select ' ~ kept_in ~ '+'
        ) %}
    {% endif %}
    {% if published %}
        {% set dates = run_query(
            'select string(' ~ customer_behavior.kept_by() ~ ') from ' ~ ref(kept_in) ~ ' where is_kept'
        ).columns[0].values() %}
        {% do kept.extend(published | selectattr(0, 'in', dates)) %}
    {% endif %}
    {{ return(kept) }}
{% endmacro %}


{% macro with_run(query) %}
    select *, '{{ customer_behavior.run_stamp() }}' as run
    from (
        {{ query }}
    )
{% endmacro %}


{#- The partitions of a build. -#}
{% macro partitions_of(build) %}
    {% set found = [] %}
    {% if customer_behavior.kept_by() %}
        {% for (name,) in run_query('show partitions ' ~ build) %}
            {% do found.append(modules.re.search('=(.+)/run=(.+)', name).groups()) %}
        {% endfor %}
    {% endif %}
    {{ return(found) }}
{% endmacro %}


{#- SQL that is true for the rows of these partitions. -#}
{% macro any_partition(partitions) %}
    {% set conditions = [] %}
    {% for partition in partitions %}
        {% do conditions.append("({} = date '{}' and run = '{}')".format(customer_behavior.kept_by(), *partition)) %}
    {% endfor %}
    {{ return(conditions | sort | join(' or ') or 'false') }}
{% endmacro %}


{% macro drop_partitions(build, partitions) %}
    {% for partition in partitions %}
        {% set spec = "({} = '{}', run = '{}')".format(customer_behavior.kept_by(), *partition) %}
        {% do run_query('alter table ' ~ build ~ ' drop if exists partition ' ~ spec) %}
    {% endfor %}
{% endmacro %}
