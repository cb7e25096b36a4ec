{#- `create or replace view` drops the view first, so that for a moment it is missing.
    Therefore an unchanged view is not created again. When a view is created, Spark stores in it the columns of the models
    that it reads. So `made_from` also covers the code of these models. -#}
{% macro spark__create_view_as(relation, sql) -%}
    {%- if config.get('contract').enforced -%}
        {%- do assert_columns_equivalent(sql) -%}
    {%- endif -%}
    {%- set columns -%}
        {%- if config.persist_column_docs() -%}
            ({{ get_persist_docs_column_list(model.columns, get_columns_in_query(sql)) }})
        {%- endif -%}
    {%- endset -%}
    {%- set made_from = local_md5(customer_behavior.code_before(model) | join ~ columns ~ comment_clause() ~ sql) -%}
    {%- set existing = load_cached_relation(relation) -%}
    {%- set is_same = existing and made_from in existing.information and customer_behavior.live_build(existing) is none -%}
    {%- if is_same and not flags.FULL_REFRESH -%}
        select 'unchanged'
    {%- else -%}
        create or replace view {{ relation }} {{ columns }}
        {{ comment_clause() }}
        tblproperties ('made_from' = '{{ made_from }}')
        as {{ sql }}
    {%- endif -%}
{%- endmacro %}
