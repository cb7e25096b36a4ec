{% macro spark__clustered_cols(label, required=false) -%}
    {%- set key = config.get('clustered_by') -%}
    {%- if key is not none -%}
        {{ label }} {{ customer_behavior.sorted_buckets(key, config.require('buckets')) }}
    {%- endif -%}
{%- endmacro %}


{% macro sorted_buckets(key, buckets) -%}
    ({{ key }}) sorted by ({{ key }}) into {{ buckets }} buckets
{%- endmacro %}
