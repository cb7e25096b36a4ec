{#- `is not true` makes the test fail on null, too. `not between` would let null pass. -#}
{% test between(model, column_name, lowest, highest) %}
    select {{ column_name }}
    from {{ model }}
    where ({{ column_name }} between {{ lowest }} and {{ highest }}) is not true
{% endtest %}
