{#- Overrides dbt-spark's macro, which cannot write `sorted by`. -#}
{% macro spark__clustered_cols(label, required=false) -%}
    {%- set key = config.get('clustered_by') -%}
    {%- if key is not none -%}
        {{ label }} {{ customer_behavior.sorted_buckets(key, config.require('buckets')) }}
    {%- endif -%}
{%- endmacro %}


{#- A bucketed table is also sorted by its key, so that grouping by the key needs neither a shuffle
    nor a sort. -#}
{% macro sorted_buckets(key, buckets) -%}
    ({{ key }}) sorted by ({{ key }}) into {{ buckets }} buckets
{%- endmacro %}
