{% macro contract_columns(query) %}
    {% if not config.get('contract').enforced %}
        {% do exceptions.raise_compiler_error(
            model.name ~ ': published_table needs `contract: {enforced: true}` and the columns in the YAML'
        ) %}
    {% endif %}
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
        {% elif column.data_type | lower | replace(' ', '') != row[1] | lower %}
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
            'contract of ' ~ model.name ~ ' broken, nothing published: ' ~ differences | join('; ')
        ) %}
    {% endif %}
    {{ return(columns) }}
{% endmacro %}


{% macro constraint_checks(rows) %}
    {% set constraints = [] %}
    {% for column in model.columns.values() %}
        {% for constraint in column.constraints %}
            {% do constraints.append([constraint, [column.name]]) %}
        {% endfor %}
    {% endfor %}
    {% for constraint in model.constraints %}
        {% do constraints.append([constraint, constraint.columns]) %}
    {% endfor %}
    {% set checks = {} %}
    {% for constraint, columns in constraints %}
        {% for name, check in customer_behavior.constraint_check(constraint, columns, rows).items() %}
            {% if checks.setdefault(name, check) != check %}
                {% do exceptions.raise_compiler_error(
                    model.name ~ ': two different checks are named ' ~ name ~ '; rename one of them'
                ) %}
            {% endif %}
        {% endfor %}
    {% endfor %}
    {{ return(checks) }}
{% endmacro %}


{% macro constraint_check(constraint, columns, rows) %}
    {% if constraint.type == 'check' %}
        {{ return({constraint.name or constraint.expression: 'count_if(not (' ~ constraint.expression ~ '))'}) }}
    {% endif %}
    {% set names = columns | join(', ') %}
    {% set quoted = [] %}
    {% for column in columns %}
        {% do quoted.append(adapter.quote(column)) %}
    {% endfor %}
    {% set key = quoted | join(', ') %}
    {# With several arguments, count ignores rows with a null. Distinct keys are counted in a subquery. With
       count(distinct) in the same query, Spark would group all rows by the key before it computes the other counts. #}
    {% set repeated = 'count({0}) - (select count({0}) from (select distinct {0} from {1}))'.format(key, rows) %}
    {% if constraint.type == 'not_null' %}
        {% set checks = {} %}
        {% for name, column in zip(columns, quoted) %}
            {% do checks.update({name ~ ' is not null': 'count_if(' ~ column ~ ' is null)'}) %}
        {% endfor %}
        {{ return(checks) }}
    {% elif constraint.type == 'unique' %}
        {{ return({names ~ ' is unique': repeated}) }}
    {% elif constraint.type == 'primary_key' %}
        {% set nulls = 'count_if(' ~ quoted | join(' is null or ') ~ ' is null)' %}
        {{ return({names ~ ' is the primary key': nulls ~ ' + ' ~ repeated}) }}
    {% else %}
        {% do exceptions.raise_compiler_error(
            model.name ~ ': constraint ' ~ constraint.type ~ ' is not supported'
        ) %}
    {% endif %}
{% endmacro %}


{% macro written_rows(build, is_addition) %}
    {{ return(build ~ ' where ' ~ customer_behavior.of_this_run() if is_addition else build) }}
{% endmacro %}


{% macro of_this_run() %}
    {{ return("run = '" ~ customer_behavior.run_stamp() ~ "'") }}
{% endmacro %}


{% macro check_constraints(build, rows, columns, checks, is_addition) %}
    {% set measured = customer_behavior.measures(columns) %}
    {% set counted = measured + checks.values() | list %}
    {% set counts = run_query('select ' ~ counted | join(', ') ~ ' from ' ~ rows).rows[0].values() | list %}
    {% set broken = [] %}
    {% for name, count in zip(checks, counts[measured | length:]) if count %}
        {% do broken.append(name ~ ' (' ~ count ~ (' row)' if count == 1 else ' rows)')) %}
    {% endfor %}
    {% if broken %}
        {% set dropping = 'alter table {} drop partition ({})' if is_addition else 'drop table {}' %}
        {% do run_query(dropping.format(build, customer_behavior.of_this_run())) %}
        {% do exceptions.raise_compiler_error(
            'constraints of ' ~ model.name ~ ' broken, nothing published: ' ~ broken | join('; ')
        ) %}
    {% endif %}
    {{ return(counts[:measured | length]) }}
{% endmacro %}
