{#- The tables that the PySpark steps under ml/ fill. They exist, empty, before any step has run, so that
    the models that join them build at any time. -#}
{% macro create_ml_tables() %}
    {% set tables = {
        'customer_clusters': 'customer_key bigint, customer_id string, cluster int, distance_to_centre double',
        'cluster_selection': 'k int, silhouette double, stability double, smallest_share double, chosen boolean, reason string',
        'cluster_centres': 'cluster int, feature string, level string, value double, standardised_value double, weight double',
    } %}
    {% if execute %}
        {% do run_query("create database if not exists ml") %}
        {% for name, columns in tables.items() %}
            {% do run_query(
                "create table if not exists ml." ~ name
                ~ " (" ~ columns ~ ", run_id string, as_of_date date) using parquet"
            ) %}
        {% endfor %}
    {% endif %}
{% endmacro %}
