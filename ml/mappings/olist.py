"""Joins the files of Olist's Brazilian e-commerce data into the two sources of a load.

    python -m ml.mappings.olist FOLDER OUTPUT_FOLDER
    make run TRANSACTIONS=OUTPUT_FOLDER/transactions CUSTOMERS=OUTPUT_FOLDER/customers

FOLDER has olist_orders_dataset.csv and the files of order items, products, payments and customers.
Both outputs have canonical names and need no mapping. Times are local to Brazil and are not
converted. Canceled orders and orders of unavailable goods earned nothing and are left out.
"""

import argparse

from pyspark.sql import DataFrame, SparkSession

from ml.loading.files import escape_pattern, locate
from ml.session import log, run, start

TABLES = ("orders", "order_items", "products", "order_payments", "customers")

TRANSACTIONS = """
with payments as (
    select
        order_id,
        payment_type,
        row_number() over (
            partition by order_id
            order by sum(cast(payment_value as decimal(18, 2))) desc, payment_type
        ) as payment_rank
    from order_payments
    group by order_id, payment_type
)

select
    concat(order_items.order_id, '-', order_items.order_item_id) as transaction_id,
    order_items.order_id,
    customers.customer_unique_id as customer_id,
    cast(orders.order_purchase_timestamp as timestamp) as ordered_at,
    order_items.product_id,
    products.product_category_name as product_category,
    1 as quantity,
    cast(order_items.price as decimal(18, 2))
    + cast(order_items.freight_value as decimal(18, 2)) as amount,
    payments.payment_type as payment_method
from order_items
inner join orders on order_items.order_id = orders.order_id
inner join customers on orders.customer_id = customers.customer_id
left join products on order_items.product_id = products.product_id
left join payments on order_items.order_id = payments.order_id and payments.payment_rank = 1
where orders.order_status not in ('canceled', 'unavailable')
"""

# Olist gives a customer a new customer_id per order. The region is that of the last order.
CUSTOMERS = """
select
    customers.customer_unique_id as customer_id,
    max(
        struct(orders.order_purchase_timestamp, customers.customer_state as region)
    ).region as region
from customers
inner join orders on customers.customer_id = orders.customer_id
group by customers.customer_unique_id
"""


def joined(spark: SparkSession, folder: str) -> dict[str, DataFrame]:
    """Returns the transactions and the customers of the files in `folder`."""
    for table in TABLES:
        path = escape_pattern(f"{folder}/olist_{table}_dataset.csv")
        source = spark.read.csv(path, header=True, escape='"', multiLine=True)
        source.createOrReplaceTempView(table)
    return {"transactions": spark.sql(TRANSACTIONS), "customers": spark.sql(CUSTOMERS)}


def main() -> None:
    """Reads the command line, joins the files and writes both sources."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="where Olist's files are")
    parser.add_argument("output_folder", help="where transactions/ and customers/ go")
    arguments = parser.parse_args()
    spark = start("olist")
    output = locate(arguments.output_folder)
    for name, rows in joined(spark, locate(arguments.folder)).items():
        rows.write.parquet(f"{output}/{name}", mode="overwrite")
        log(f"{output}/{name}: {spark.read.parquet(f'{output}/{name}').count():,} rows")


if __name__ == "__main__":
    run(main)
