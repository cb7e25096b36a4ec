{#- dbt's own record, run_results.json, is not enough: each command overwrites it, and `make run` builds with up to two. -#}
{% macro record_results(results) %}
    {% if execute %}
        {% set own = results | selectattr('node.package_name', 'equalto', 'customer_behavior') | list %}
        {% do add_to_audit('runs', built_nodes(own)) %}
        {% do add_to_audit('test_results', finished_tests(own)) %}
    {% endif %}
{% endmacro %}


{% macro built_nodes(results) %}
    {% set built = results | selectattr('node.resource_type', 'in', ['model', 'seed']) | list %}
    {% set measured = measured_tables(built | map(attribute='node.schema') | unique) %}
    {% set rows = [] %}
    {% for result in built %}
        {% set measures = measured.get(result.node.schema ~ '.' ~ result.node.name) if result.status == 'success' %}
        {% do rows.append([sql_string(result.node.name), sql_string(result.status), result.execution_time]
            + (measures or ['null', 'null'])) %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}


{#- A test that the project no longer has gets a last row with the status `removed`. -#}
{% macro finished_tests(results) %}
    {% set rows = [] %}
    {% for result in results if result.node.resource_type == 'test' and result.status != 'skipped' %}
        {% set tested = result.node.attached_node or result.node.depends_on.nodes[0] %}
        {% set model = tested.split('.')[2:] | join('.') %}
        {% do rows.append([sql_string(result.node.name), sql_string(model), sql_string(result.status), result.failures or 0,
            result.execution_time]) %}
    {% endfor %}
    {% if rows %}
        {% set tests = graph.nodes.values() | selectattr('resource_type', 'equalto', 'test') | map(attribute='name') | list %}
        {% set recorded = run_query(
            'select test, max_by(model, run) from ' ~ source('audit', 'test_results')
            ~ " group by test having max_by(status, run) <> 'removed'"
        ) %}
        {% for test, model in recorded if test not in tests %}
            {% do rows.append([sql_string(test), sql_string(model), "'removed'", 0, 'null']) %}
        {% endfor %}
    {% endif %}
    {{ return(rows) }}
{% endmacro %}


{% macro add_to_audit(name, rows) %}
    {% if rows %}
        {# With --empty, a source prints as a query; `render()` gives its name. #}
        {% set table = source('audit', name).render() %}
        {% set node = graph.nodes['model.customer_behavior.int_as_of_date'] %}
        {% set as_of = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% set values = [] %}
        {% for row in rows %}
            {% do values.append('(' ~ row | join(', ') ~ ')') %}
        {% endfor %}
        {% do run_query(
            'insert into ' ~ table ~ ' select *, '
            ~ ('(select as_of_date from ' ~ as_of ~ ')' if as_of else 'null') ~ ', '
            ~ "timestamp'" ~ run_started_at.strftime('%Y-%m-%d %H:%M:%S') ~ "', '" ~ run_stamp() ~ "' "
            ~ 'from values ' ~ values | join(', ')
        ) %}
        {% set newest_first = run_query('show partitions ' ~ table).columns[0].values() | sort(reverse=true) %}
        {% for partition in newest_first[var('audited_runs'):] %}
            {% do run_query('alter table ' ~ table ~ " drop if exists partition (run = '" ~ partition.split('=')[1] ~ "')") %}
        {% endfor %}
    {% endif %}
{% endmacro %}


{#- The materialization of the published tables has stored both measures as properties of the views. -#}
{% macro measured_tables(schemas) %}
    {% set found = {} %}
    {% for schema in schemas %}
        {% for database, name, is_temporary, information in run_query('show table extended in ' ~ schema ~ " like '*'") %}
            {% set row_count = modules.re.search('row_count=([0-9]+)', information) %}
            {% set audited_sum = modules.re.search('audited_sum=([-0-9.]+)', information) %}
            {% if row_count %}
                {% set sum_or_null = audited_sum.group(1) if audited_sum else 'null' %}
                {% do found.update({schema ~ '.' ~ name: [row_count.group(1), sum_or_null]}) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}
