{#- dbt reads the row counts of the docs from the lines `Statistics:` of this list. A published table is a view, which has
    no such line, so this macro adds one from the view's property `row_count`. -#}
{% macro spark__list_relations_without_caching(relation) %}
    {% call statement('list_relations_without_caching', fetch_result=True) -%}
        show table extended in {{ relation.schema }} like '*'
    {%- endcall %}
    {% set rows = [] %}
    {% for schema, name, is_temporary, information in load_result('list_relations_without_caching').table %}
        {% set found = modules.re.search('row_count=([0-9]+)', information) %}
        {% set statistics = '\nStatistics: ' ~ found.group(1) ~ ' rows' if found else '' %}
        {% do rows.append([schema, name, is_temporary, information ~ statistics]) %}
    {% endfor %}
    {{ return(rows) }}
{% endmacro %}
