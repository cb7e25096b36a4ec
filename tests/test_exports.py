"""The mappings of exports, on small made-up files of the shape of each export.

All expected amounts are calculated by hand.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from conftest import DATA, ROOT, rows_of
from pyspark.sql import SparkSession

from ml.loading.mapping import read_mapping
from ml.loading.rows import transactions

LOADED_AT = datetime(2026, 3, 1, tzinfo=UTC)
EXPORTS = DATA / "exports"
Load = Callable[..., list[tuple]]


@pytest.fixture
def load(loader_session: SparkSession, tmp_path: Path) -> Load:
    """Loads an export by its mapping; returns the columns, ordered by transaction_id."""

    def rows(path: Path, *columns: str, mapping: Path | None = None) -> list[tuple]:
        mapping = mapping or ROOT / "ml" / "mappings" / f"{path.stem}.sql"
        source = read_mapping(str(mapping)).source(str(path), "transactions")
        found = rows_of(source, loader_session, tmp_path)
        lines = transactions(found, source.mapping, LOADED_AT, source.format)
        columns = "unparsed_values", "transaction_id", *columns
        selected = lines.orderBy("transaction_id").selectExpr(*columns).collect()
        assert not any(row.unparsed_values for row in selected)
        return [tuple(row)[1:] for row in selected]

    return rows


def money(*texts: str) -> list[Decimal]:
    """Returns the amounts."""
    return [Decimal(text) for text in texts]


def test_shopify_revenue_is_the_subtotal_less_refunds(load: Load):
    """Orders #1004, canceled, and #1005, voided, are left out."""
    found = load(EXPORTS / "shopify_orders.csv", "amount", "quantity")
    assert found == [
        # #1001: 2 x 15.00 + 1 x 20.00 = 50.00, less a discount of 10.00 = 40.00. The mugs bear
        # 30 / 50 of it: 30.00 - 6.00 = 24.00. The tote bears 20 / 50: 20.00 - 4.00 = 16.00.
        ("#1001-1", Decimal("24.00"), 2),
        ("#1001-2", Decimal("16.00"), 1),
        ("#1001-refund", Decimal("-5.00"), -1),
        # #1002: 3 x 1.00, less 1.00 = 2.00. Running totals 2/3 = 0.67, 4/3 = 1.33, 2.00.
        ("#1002-1", Decimal("0.67"), 1),
        ("#1002-2", Decimal("0.66"), 1),
        ("#1002-3", Decimal("0.67"), 1),
        # #1003: 25.00, less a discount of the line of 5.00 = 20.00. The refund of 27.00 has
        # shipping of 5.00 and tax of 2.00, which are no revenue.
        ("#1003-1", Decimal("20.00"), 1),
        ("#1003-refund", Decimal("-20.00"), -1),
        # #1006: a free sample.
        ("#1006-1", Decimal("0.00"), 1),
    ]


def test_shopify_order_has_the_customer_and_the_time_of_its_first_line(load: Load):
    columns = "order_id", "customer_id", "cast(ordered_at as string)", "product_id"
    found = load(EXPORTS / "shopify_orders.csv", *columns, "payment_method")
    assert found[:3] == [
        # 23:30 at -05:00 is 04:30 UTC of the next day.
        (f"#1001-{line}", "#1001", "ann@example.com", "2026-01-06 04:30:00", product, method)
        for line, product, method in (
            ("1", "MUG", "Shopify Payments"),
            ("2", "TOTE", "Shopify Payments"),
            ("refund", None, "Shopify Payments"),
        )
    ]
    # No SKU: the product is its name. No email: a guest.
    assert found[3][4] == "Card A"
    assert found[-1][1:3] == ("#1006", None)


def test_shopify_order_that_is_in_two_files_has_the_same_ids_in_both(load: Load, tmp_path: Path):
    """So staging can tell that the second is a copy, or a later version."""
    text = (EXPORTS / "shopify_orders.csv").read_text()
    lines = text.splitlines(keepends=True)
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "january.csv").write_text(text)
    (folder / "again.csv").write_text("".join(lines[:3]))
    mapping = ROOT / "ml" / "mappings" / "shopify_orders.sql"
    found = [row for row in load(folder, "amount", mapping=mapping) if row[0].startswith("#1001")]
    assert found == [
        *[("#1001-1", Decimal("24.00"))] * 2,
        *[("#1001-2", Decimal("16.00"))] * 2,
        *[("#1001-refund", Decimal("-5.00"))] * 2,
    ]


def test_shopify_order_that_is_split_over_two_files_has_no_amount_in_the_second(
    load: Load, tmp_path: Path
):
    """The second file has no totals, so the load rejects its lines."""
    lines = (EXPORTS / "shopify_orders.csv").read_text().splitlines(keepends=True)
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "rest.csv").write_text("".join([lines[0], lines[2]]))
    mapping = ROOT / "ml" / "mappings" / "shopify_orders.sql"
    assert load(folder, "amount", mapping=mapping) == [("#1001-1", None)]


def test_stripe_refund_is_a_line_of_its_own_day(load: Load):
    """The failed charge ch_4 is left out. Amounts are those in the currency of the account."""
    columns = "customer_id", "cast(ordered_at as string)", "amount", "order_id"
    assert load(EXPORTS / "stripe_payments.csv", *columns) == [
        ("ch_1", "cus_ann", "2026-01-05 10:00:00", Decimal("1250.00"), "ch_1"),
        # 20.00 EUR, of which 5.00 EUR came back: at 1.17, 23.40 USD and 5.85 USD.
        ("ch_2", "bob@example.com", "2026-01-06 11:00:00", Decimal("23.40"), "ch_2"),
        (
            *("ch_2-refund", "bob@example.com", "2026-02-02 09:00:00"),
            *(Decimal("-5.85"), "ch_2-refund"),
        ),
        ("ch_3", "cus_ann", "2026-01-07 12:00:00", Decimal("9.99"), "ch_3"),
        ("ch_3-refund", "cus_ann", "2026-01-08 08:00:00", Decimal("-9.99"), "ch_3-refund"),
        ("ch_5", None, "2026-01-09 12:00:00", Decimal("7.00"), "ch_5"),
    ]


def test_stripe_amounts_with_a_decimal_comma_are_read(load: Load, tmp_path: Path):
    """Stripe writes numbers as in the language of its user."""
    text = (EXPORTS / "stripe_payments.csv").read_text()
    path = tmp_path / "stripe_payments.csv"
    for point, comma in (('"1,250.00"', '"1250,00"'), ("23.40", '"23,40"'), ("5.85", '"5,85"')):
        text = text.replace(point, comma)
    path.write_text(text.replace("9.99", '"9,99"').replace("7.00", '"7,00"'))
    expected = money("1250.00", "23.40", "-5.85", "9.99", "-9.99", "7.00")
    assert [amount for _, amount in load(path, "amount")] == expected


def test_square_money_is_read_and_a_refund_is_an_order_of_its_own_day(load: Load):
    columns = "order_id", "cast(ordered_at as date)", "product_id", "quantity", "amount"
    found = load(EXPORTS / "square_items.csv", *columns)
    day, refund_day = datetime(2026, 1, 10).date(), datetime(2026, 2, 3).date()
    assert found == [
        # Two lines that are alike are two sales.
        ("TR1-PAY1-1", "TR1", day, "Latte, Large", 2, Decimal("9.00")),
        ("TR1-PAY1-2", "TR1", day, "Latte, Large", 2, Decimal("9.00")),
        # 1,234.50 less a discount of 34.50.
        ("TR1-PAY1-3", "TR1", day, "OAK", 1, Decimal("1200.00")),
        ("TR1-REF1-1", "TR1-REF1", refund_day, "Latte, Large", -1, Decimal("-4.50")),
        ("TR2-PAY2-1", "TR2", day.replace(day=11), "Latte, Regular", 1, Decimal("4.00")),
    ]


def test_woocommerce_line_is_after_coupons_and_its_refund_on_its_own_day(load: Load):
    """Order 503, canceled, and order 504, failed, are left out."""
    columns = "order_id", "customer_id", "cast(ordered_at as date)", "amount"
    found = load(EXPORTS / "woocommerce_orders.csv", *columns)
    days = [datetime(2026, 1, day).date() for day in (5, 20, 5, 6, 7, 8)]
    assert found == [
        # 2 x 15.00 less 3.00, and 20.00 less 2.00; one of two mugs came back: 27.00 / 2.
        ("501-9001", "501", "ann@example.com", days[0], Decimal("27.00")),
        ("501-9001-refund", "501-refund", "ann@example.com", days[1], Decimal("-13.50")),
        ("501-9002", "501", "ann@example.com", days[2], Decimal("18.00")),
        # The order was refunded as a whole, without a refund of its line.
        ("502-9003", "502", "bob@example.com", days[3], Decimal("25.00")),
        ("502-9003-refund", "502-refund", "bob@example.com", days[4], Decimal("-25.00")),
        ("505-9006", "505", None, days[5], Decimal("25.00")),
    ]


ITEM = pyarrow.struct(
    [
        ("item_id", pyarrow.string()),
        ("item_category", pyarrow.string()),
        ("price", pyarrow.float64()),
        ("quantity", pyarrow.int64()),
        ("item_revenue", pyarrow.float64()),
        ("item_refund", pyarrow.float64()),
    ]
)
ECOMMERCE = pyarrow.struct(
    [
        ("transaction_id", pyarrow.string()),
        ("purchase_revenue", pyarrow.float64()),
        ("refund_value", pyarrow.float64()),
    ]
)


def write_events(path: Path) -> Path:
    """Writes events as in the schema of GA4's export: nested and repeated."""
    mug = {"item_id": "MUG", "item_category": "Kitchen", "price": 15.0, "quantity": 2}
    lamp = {"item_id": "LAMP", "price": 25.0, "quantity": 1}
    # 2026-01-05 10:00:00 UTC in microseconds, and a day.
    at, day = 1_767_607_200_000_000, 86_400_000_000
    in_part = {"transaction_id": "T1", "refund_value": 30.0}
    events = [
        ("page_view", at, None, "browser1", None, []),
        (
            *("purchase", at, None, "browser1", {"transaction_id": "T1"}),
            [mug | {"item_revenue": 27.0}, lamp],
        ),
        ("refund", at + day, None, "browser1", {"transaction_id": "T1", "refund_value": 22.0}, []),
        (
            *("refund", at + 2 * day, None, "browser1", in_part),
            [mug | {"item_refund": 27.0}, {"item_id": "CARD", "quantity": 1}],
        ),
        ("purchase", at + day, "ann", "browser2", {"transaction_id": "T2"}, [lamp]),
        ("purchase", at, None, "browser3", {"transaction_id": "(not set)"}, [lamp]),
        ("purchase", at, None, "browser3", {"purchase_revenue": 9.5}, []),
        ("purchase", at, None, "browser4", {"transaction_id": "", "purchase_revenue": 4.0}, []),
    ]
    names = "event_name", "event_timestamp", "user_id", "user_pseudo_id", "ecommerce", "items"
    kinds = pyarrow.string(), pyarrow.int64(), *[pyarrow.string()] * 2, ECOMMERCE
    fields = [*zip(names, (*kinds, pyarrow.list_(ITEM)), strict=True)]
    table = pyarrow.Table.from_pylist(
        [dict(zip(names, event, strict=True)) for event in events], pyarrow.schema(fields)
    )
    pyarrow.parquet.write_table(table, path)
    return path


def test_ga4_items_are_lines_and_a_refund_may_have_no_items(load: Load, tmp_path: Path):
    """An item without a price is a line without an amount: the total is that of all items."""
    columns = "order_id", "customer_id", "cast(ordered_at as string)", "quantity", "amount"
    found = load(write_events(tmp_path / "ga4_events.parquet"), *columns)
    # Without an id of the order, no line is the duplicate of another.
    assert sorted(row[-1] for row in found if row[0] is None) == money("4.00", "9.50", "25.00")
    first, second = "T1-refund-1767693600000000", "T1-refund-1767780000000000"
    assert [row for row in found if row[0]] == [
        ("T1-0", "T1", "browser1", "2026-01-05 10:00:00", 2, Decimal("27.00")),
        ("T1-1", "T1", "browser1", "2026-01-05 10:00:00", 1, Decimal("25.00")),
        (f"{first}-0", first, "browser1", "2026-01-06 10:00:00", -1, Decimal("-22.00")),
        (f"{second}-0", second, "browser1", "2026-01-07 10:00:00", -2, Decimal("-27.00")),
        (f"{second}-1", second, "browser1", "2026-01-07 10:00:00", -1, None),
        ("T2-0", "T2", "ann", "2026-01-06 10:00:00", 1, Decimal("25.00")),
    ]
