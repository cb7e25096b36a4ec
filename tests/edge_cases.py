"""Small data in which every edge case is frequent. In real data they are one line in a million.

Order numbers that several customers share and that span days and months, orders without a number,
free items, weights, signs that disagree, returns before the first purchase, ties everywhere, lines
of two payment methods, guests, copies loaded later with another amount, lines loaded late, lines
that were corrected, deleted or replaced with their order, times around midnight and month ends,
unreadable values, placeholder dates, an isolated early line, broken lines, customers without orders
and orders without customers.
"""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

FIRST_DAY = datetime(2025, 12, 20, tzinfo=UTC)
AS_OF_DATE = date(2026, 5, 31)
LOADED_AT = datetime(2026, 6, 20, tzinfo=UTC)
NAMES = ["O'Neil", "Zoë", "100%", "a b", "A B", *(f"c{number:03}" for number in range(150))]


def transactions() -> list[tuple]:
    """Returns rows of raw.transactions, columns in its order."""
    draw = random.Random(7)  # noqa: S311
    rows = []
    for number in range(2500):
        quantity, amount = draw.choice(
            [
                *[(1, "5.00"), (1, "5.00"), (2, "9.99"), (3, "30.00"), (12, "123.45")],
                *[(1, "0.00"), (1, "-2.00"), (-1, "5.00"), (-1, "-5.00"), (-2, "-60.00")],
                *[(0, "3.00"), (0, "0.00"), (None, "7.35"), (None, "-4.01")],
                *[("0.345", "3.45"), ("0.001", "0.00"), ("-0.5", "-1.75"), ("-0.345", "3.45")],
            ]
        )
        day = FIRST_DAY + timedelta(days=int(draw.triangular(0, 178, 30)))
        time = draw.choice(["00:00:00", "10:30:00", "10:30:00", "18:00:00", "23:59:59"])
        row = {
            "transaction_id": f"t{number}" if draw.random() < 0.9 else None,
            "order_id": str(draw.randint(1, 9)) if draw.random() < 0.8 else None,
            "customer_id": draw.choice(NAMES[: int(draw.triangular(1, len(NAMES), 1)) + 1])
            if draw.random() < 0.9
            else None,
            "ordered_at": datetime.combine(
                day.date(), datetime.strptime(time, "%H:%M:%S").time(), UTC
            ),
            "product_id": f"p{draw.randint(1, 30)}",
            "product_category": draw.choice(["Books", "Toys", "Toys", "Garden", "books", None]),
            "quantity": None if quantity is None else Decimal(quantity),
            "amount": Decimal(amount),
            "payment_method": draw.choice(["Card", "Cash", "Gift card", None]),
            "updated_at": None,
            "is_deleted": None,
            "replaces_order": False,
            "unparsed_values": None,
            "file_number": None,
            "loaded_at": LOADED_AT + timedelta(days=draw.randint(0, 2)),
        }
        rows.append(spoiled(row, draw) if draw.random() < 0.1 else row)
        if draw.random() < 0.05:
            # A copy that is loaded later, with other values.
            later = {"loaded_at": row["loaded_at"] + timedelta(days=1), "amount": Decimal("1.11")}
            rows.append(rows[-1] | later)
        if draw.random() < 0.1:
            rows.append(row | changed(row, draw))
    # A mistyped year, long before all others, blanks around a category, and no method.
    early = {"ordered_at": datetime(2001, 1, 1, 10, 30, tzinfo=UTC), "unparsed_values": None}
    early |= {"product_category": " Books ", "payment_method": "N/A"}
    rows.append(
        rows[0] | early | {"transaction_id": "early", "quantity": Decimal(1), "amount": Decimal(5)}
    )
    draw.shuffle(rows)
    return [tuple(row.values()) for row in rows]


def changed(row: dict[str, object], draw: random.Random) -> dict[str, object]:
    """Returns what is different in a later version of `row`."""
    later = {"loaded_at": row["loaded_at"] + timedelta(days=1)}
    return later | draw.choice(
        [
            {"amount": Decimal("2.22"), "updated_at": FIRST_DAY},
            {"ordered_at": FIRST_DAY + timedelta(days=50), "updated_at": FIRST_DAY},
            {"customer_id": "moved", "updated_at": FIRST_DAY},
            {"amount": None, "ordered_at": None, "is_deleted": True},
            {"is_deleted": True, "updated_at": FIRST_DAY},
            {"amount": Decimal("3.33"), "replaces_order": True},
            {"amount": Decimal("4.44"), "transaction_id": None, "replaces_order": True},
            {"unparsed_values": '{"updated_at":"soon"}'},
        ]
    )


def spoiled(row: dict[str, object], draw: random.Random) -> dict[str, object]:
    """Returns `row` with a value that cannot be used."""
    return row | draw.choice(
        [
            {"ordered_at": None},
            {"amount": None},
            {"amount": None, "unparsed_values": '{"amount":"n/a"}'},
            {"quantity": None, "unparsed_values": '{"quantity":"two"}'},
            {"ordered_at": None, "unparsed_values": '{"ordered_at":"soon"}'},
            {"ordered_at": row["loaded_at"] + timedelta(seconds=1)},
            {"ordered_at": datetime(1970, 1, 1, 12, tzinfo=UTC)},
            {"ordered_at": datetime(1900, 1, 1, tzinfo=UTC), "amount": None},
            {"ordered_at": datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)},
            dict.fromkeys(row.keys() - {"loaded_at"}) | {"unparsed_values": '{"line":"o7,\\"Zo"}'},
        ]
    )


def customers() -> list[tuple]:
    """Returns rows of raw.customers, columns in its order: some of the buyers and some others."""
    draw = random.Random(7)  # noqa: S311
    rows = []
    for name in [*NAMES[::2], *(f"visitor{number}" for number in range(20)), None]:
        # A few register after the as-of date.
        registered_on = AS_OF_DATE - timedelta(days=draw.randint(-60, 900))
        attributes = (draw.choice([None, 31, 47]), draw.choice([None, "f", "m"]))
        rows.append((name, registered_on, *attributes, draw.choice(["north", None]), None))
        if draw.random() < 0.2:
            # Registered twice: the later one counts.
            rows.append((name, registered_on - timedelta(days=9), 99, "x", "old", "gold"))
        if draw.random() < 0.1:
            rows.append((name, None, 98, "y", "older", "silver"))
    # Placeholders for unknown values.
    rows.append(("unknown", date(1970, 1, 1), 0, "n/a", " north ", "-"))
    return rows
