{#- dbt builds the docs catalog from this list, and looks for a line with statistics. -#}
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
