{#- The last result of each data test. dbt's own record, run_results.json, is not enough: each command
    overwrites it, and `make run` builds with two commands. -#}
{% macro create_test_results() %}
    {% if execute %}
        {% do run_query("create database if not exists audit") %}
        {% do run_query(
            "create table if not exists audit.test_results "
            ~ "(test string, model string, status string, failures bigint) using parquet"
        ) %}
    {% endif %}
{% endmacro %}


{#- For `on-run-end`. Rewrites the table: tests that did not run keep their last result, and tests that the
    project no longer has are removed. -#}
{% macro record_test_results(results) %}
    {% if execute %}
        {% set rows = {} %}
        {% for result in results if result.node.resource_type == 'test' and result.status != 'skipped' %}
            {% do rows.update({result.node.name: (
                (result.node.attached_node or result.node.depends_on.nodes[0]).split('.')[2:] | join('.'),
                result.status,
                result.failures or 0,
            )}) %}
        {% endfor %}
        {% if rows %}
            {% set tests = graph.nodes.values() | selectattr('resource_type', 'equalto', 'test') | map(attribute='name') | list %}
            {% for test, model, status, failures in run_query('select * from audit.test_results') %}
                {% if test in tests and test not in rows %}
                    {% do rows.update({test: (model, status, failures)}) %}
                {% endif %}
            {% endfor %}
            {% set values = [] %}
            {% for test, (model, status, failures) in rows.items() %}
                {% do values.append("('" ~ [test, model, status] | join("', '") ~ "', " ~ failures ~ ")") %}
            {% endfor %}
            {% do run_query('insert overwrite audit.test_results values ' ~ values | join(', ')) %}
        {% endif %}
    {% endif %}
{% endmacro %}
