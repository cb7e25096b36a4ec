{#- Null-safe: `is not true` also fails on null, which `not between` lets pass. -#}
{% test between(model, column_name, lowest, highest) %}
    select {{ column_name }}
    from {{ model }}
    where ({{ column_name }} between {{ lowest }} and {{ highest }}) is not true
{% endtest %}
