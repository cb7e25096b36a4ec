{#- Computes the statistics of a build (bytes and rows) for the optimizer, and returns the text that Spark shows
    for them. A view has no statistics, so the published view stores the text in its property
    `build_statistics`. -#}
{% macro compute_statistics(build) %}
    {% do run_query('analyze table ' ~ build ~ ' compute statistics') %}
    {% for row in run_query('describe extended ' ~ build) if row[0] == 'Statistics' %}
        {{ return(row[1]) }}
    {% endfor %}
{% endmacro %}


{#- Overrides the dbt-spark macro that lists the relations of a schema. dbt builds the docs catalog
    from this list. The macro adds the line with statistics, which dbt-spark looks for, to published
    views. -#}
{% macro spark__list_relations_without_caching(relation) %}
    {% call statement('list_relations_without_caching', fetch_result=True) -%}
        show table extended in {{ relation.schema }} like '*'
    {%- endcall %}
    {% set rows = [] %}
    {% for schema, name, is_temporary, information in load_result('list_relations_without_caching').table %}
        {% set found = modules.re.search('build_statistics=([0-9]+ bytes, [0-9]+ rows)', information) %}
        {% set statistics = '\nStatistics: ' ~ found.group(1) if found else '' %}
        {% do rows.append([schema, name, is_temporary, information ~ statistics]) %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}
