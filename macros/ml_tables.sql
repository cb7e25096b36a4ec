{#- The tables that the PySpark steps under ml/ fill. They exist, empty, before any step has run, so that
    the models that join them build at any time. -#}
{% macro create_ml_tables() %}
    {% set tables = {
        'customer_clusters': 'customer_key bigint, customer_id string, cluster int, distance_to_centre double',
        'cluster_selection': 'k int, silhouette double, stability double, smallest_share double, '
            ~ 'chosen boolean, reason string',
        'cluster_centres': 'cluster int, feature string, level string, value double, '
            ~ 'standardised_value double, weight double',
        'lifetime_value': 'customer_key bigint, customer_id string, p_alive double, '
            ~ 'expected_orders_90d double, expected_order_value double, '
            ~ 'predicted_value_12m decimal(18,2), churn_score double',
        'lifetime_value_models': 'model string, fitted_until date, parameters string, '
            ~ 'log_likelihood double, customers bigint, repeat_customers bigint, status string, '
            ~ 'is_used boolean',
        'model_evaluation': 'model string, metric string, audience string, value double, '
            ~ 'baseline double',
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
