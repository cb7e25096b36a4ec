"""The canonical columns: what a mapping may name, with the types of the raw tables."""

from ml.tables import CUSTOMERS_COLUMNS, TRANSACTIONS_COLUMNS

# Extra column of a source: the text of a line that cannot be split into fields, otherwise null.
BROKEN_LINE = "_corrupt_record"
# Extra column of a source: the number of the row's file in raw.loads.
FILE_NUMBER = "_file_number"


def column_types(ddl: str) -> dict[str, str]:
    """Returns column -> type of a DDL that has one column per line."""
    return {line.split()[0]: line.split()[1] for line in ddl.strip().splitlines()}


RAW_TYPES = column_types(TRANSACTIONS_COLUMNS)
# Section of a mapping -> its columns and their types. The loader itself fills the last columns of
# raw.transactions, from replaces_order on.
CANONICAL = {
    "transactions": dict(list(RAW_TYPES.items())[:-4]),
    "customers": column_types(CUSTOMERS_COLUMNS),
}
REQUIRED = {"transactions": ("customer_id", "ordered_at", "amount"), "customers": ("customer_id",)}
# The time when a row came into a table that is read in place.
WATERMARK = "loaded_at"
# The canonical columns that are not texts are these and is_deleted.
NUMBERS = ("quantity", "amount", "age")
TIMES = ("ordered_at", "updated_at", "registered_on")
# Placeholders for an unknown date, as in the macro placeholder_days of the models.
SENTINEL_DAYS = (
    *("1970-01-01", "1900-01-01", "9999-12-31", "1899-12-30", "1899-12-31", "0001-01-01"),
    "1753-01-01",
)
