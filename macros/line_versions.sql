{% macro line_version() -%}
    struct(
        coalesce(updated_at, timestamp '0001-01-01') as updated_at,
        case when replaces_order or is_deleted then loaded_at else timestamp '0001-01-01' end as replaced_at,
        coalesce(is_deleted, false) as is_deleted
    )
{%- endmacro %}


{#- Lines without an id have the key of their order: they are superseded together, with the order. -#}
{% macro line_key(transaction_id, order_key) -%}
    case when {{ transaction_id }} is null then {{ order_key }} else xxhash64({{ transaction_id }}) end
{%- endmacro %}
