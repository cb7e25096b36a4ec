{#- The parts of `published_table` for models with `kept_by` in their meta. README.md explains how they keep what has not
    changed. A partition is a pair: a value of the date column that `kept_by` names, and the stamp of the run that wrote its rows. -#}


{% macro kept_by() %}
    {{ return(config.get('meta', {}).get('kept_by')) }}
{% endmacro %}


{% macro published_partitions(view) %}
    {% set found = [] %}
    {% if customer_behavior.kept_by() and customer_behavior.live_build(view) %}
        {#- The form of the conditions in `any_partition`, which the view's select has. -#}
        {% set partition = customer_behavior.kept_by() ~ " = date '([^']+)' and run = '([0-9]{20})'" %}
        {% do found.extend(modules.re.findall(partition, view.information)) %}
    {% endif %}
    {{ return(found | unique | list) }}
{% endmacro %}


{#- With `--defer`, the model that `kept_in` names may be of another environment, which keeps other partitions. -#}
{% macro kept_partitions(published) %}
    {% set kept = [] %}
    {% set kept_in = config.get('meta', {}).get('kept_in') %}
    {% if kept_in and ref(kept_in).schema != graph.nodes['model.' ~ model.package_name ~ '.' ~ kept_in].schema %}
        {% do exceptions.raise_compiler_error(
            model.name ~ ' cannot be built from ' ~ ref(kept_in) ~ ': it belongs to another environment, which keeps other dates; '
            ~ 'add ' ~ kept_in ~ '+ to --select'
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


{% macro partitions_of(build) %}
    {% set found = [] %}
    {% if customer_behavior.kept_by() %}
        {% for (name,) in run_query('show partitions ' ~ build) %}
            {% do found.append(modules.re.search('=(.+)/run=(.+)', name).groups()) %}
        {% endfor %}
    {% endif %}
    {{ return(found) }}
{% endmacro %}


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
