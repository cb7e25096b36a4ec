{% macro customer_key(customer_id) -%}
    xxhash64({{ customer_id }})
{%- endmacro %}


{#- Two orders of one number are the same order only when they are of the same customer; a line
    without an order number belongs to the order of its customer and time. -#}
{% macro order_key(order_id, customer_id, ordered_at) -%}
    case
        when {{ order_id }} is not null then xxhash64('number', {{ order_id }}, {{ customer_id }})
        else xxhash64('time', {{ ordered_at }}, {{ customer_id }})
    end
{%- endmacro %}
