{#- `is not true` also catches the null that `not between` would let pass. -#}
{% test between(model, column_name, lowest, highest) %}
    select {{ column_name }}
    from {{ model }}
    where ({{ column_name }} between {{ lowest }} and {{ highest }}) is not true
{% endtest %}
