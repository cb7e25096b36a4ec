{% macro customer_key(customer_id) -%}
    xxhash64({{ customer_id }})
{%- endmacro %}


{#- Several customers can have the same order number, so the customer is part of the key. Without an order number,
    the lines of a customer at one time form an order, and so do the lines of all guests at one time. -#}
{% macro order_key(order_id, customer_id, ordered_at) -%}
    case
        when {{ order_id }} is not null then xxhash64('number', {{ order_id }}, {{ customer_id }})
        else xxhash64('time', {{ ordered_at }}, {{ customer_id }})
    end
{%- endmacro %}
