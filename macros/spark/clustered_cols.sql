{#- Overrides dbt-spark's macro, which cannot write `sorted by`. A bucketed table is also sorted by
    its key, so that grouping by the key needs neither a shuffle nor a sort. -#}
{% macro spark__clustered_cols(label, required=false) -%}
    {%- set key = config.get('clustered_by') -%}
    {%- if key is not none -%}
        {{ label }} ({{ key }}) sorted by ({{ key }}) into {{ config.require('buckets') }} buckets
    {%- endif -%}
{%- endmacro %}
