"""Prints what a run found, from the marts: the last lines of `make run`."""

import os
from decimal import Decimal

from pyhive import hive

Row = tuple


def query(cursor: hive.Cursor, sql: str) -> list[Row]:
    """All rows of a query on the marts."""
    cursor.execute(sql)
    return cursor.fetchall()


def money(value: Decimal | float | None) -> str:
    """A sum of money, without its cents."""
    return "-" if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """A fraction as a percentage."""
    return "-" if value is None else f"{100 * value:.1f}%"


def table(rows: list[Row], align: str) -> str:
    """Rows of text as aligned columns; `align` has < or > for each column."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(align))]
    lines = [
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)
        )
        for row in rows
    ]
    return "\n".join(f"  {line.rstrip()}" for line in lines)


def headline(cursor: hive.Cursor) -> str:
    """Customers, money, the period that the numbers are of, and what may be lost."""
    ((as_of_date,),) = query(cursor, "select as_of_date from intermediate.int_as_of_date")
    metrics = {
        metric: (value, change)
        for metric, value, change in query(
            cursor, "select metric, value, change_rate from marts.executive_summary"
        )
    }
    revenue, change = metrics["net_revenue"]
    trend = "" if change is None else f" ({100 * change:+.1f}% against the 90 before)"
    retention = percent(metrics["retention_rate"][0])
    return (
        f"As of {as_of_date}: {money(metrics['customers'][0])} customers, "
        f"{money(metrics['lifetime_net_revenue'][0])} net revenue.\n"
        f"Last 90 days: {money(revenue)} net revenue{trend}, "
        f"{money(metrics['active_customers'][0])} active customers, {retention} retained.\n"
        f"At high risk of churn: {money(metrics['high_risk_customers'][0])} customers, "
        f"{money(metrics['revenue_at_stake'][0])} at stake."
    )


def segments(cursor: hive.Cursor) -> str:
    """Segments with their shares of customers and revenue, best first."""
    rows = query(
        cursor,
        """
        select summary.segment, customers, customer_share, net_revenue, revenue_share
        from marts.segment_summary as summary
        inner join reference.segment_playbook as playbook on summary.segment = playbook.segment
        where customers > 0
        order by playbook.display_order
        """,
    )
    cells = [
        (segment, money(customers), percent(share), money(revenue), percent(revenue_share))
        for segment, customers, share, revenue, revenue_share in rows
    ]
    return table([("Segment", "customers", "share", "revenue", "share"), *cells], "<>>>>")


def personas(cursor: hive.Cursor) -> str:
    """Personas with their shares and profiles, largest first."""
    rows = query(
        cursor,
        "select persona, customers, customer_share, description from marts.personas "
        "order by customers desc, cluster",
    )
    if not rows:
        return "  No personas: too few customers with a purchase."
    cells = [
        (persona, money(customers), percent(share), description)
        for persona, customers, share, description in rows
    ]
    return table([("Persona", "customers", "share", "profile"), *cells], "<>><")


def data_quality(cursor: hive.Cursor) -> str:
    """Lines that are not in the marts, by reason."""
    rows = query(
        cursor,
        "select reason, `rows`, amount from marts.data_quality where `rows` > 0 "
        "order by `rows` desc, reason",
    )
    if not rows:
        return "Every line of the source is in the marts."
    left_out = ", ".join(f"{reason} {money(count)}" for reason, count, _ in rows)
    return (
        f"Lines left out: {left_out}.\n"
        "They are in staging.rejected_transactions, those after the as-of date in raw.transactions."
    )


def main() -> None:
    port = os.environ.get("THRIFT_PORT") or "10000"
    ui_port = os.environ.get("SPARK_UI_PORT") or "4040"
    with hive.connect("localhost", int(port), username="summary") as connection:
        cursor = connection.cursor()
        parts = [headline(cursor), segments(cursor), personas(cursor), data_quality(cursor)]
    print("\n" + "\n\n".join(parts) + "\n")
    print(
        "Where to look next\n"
        + table(
            [
                ("make sql", "a SQL prompt on the marts, as in: select * from customers limit 5;"),
                (f"jdbc:hive2://localhost:{port}/marts", "the same for DBeaver, Superset, ..."),
                ("target/site/index.html", "all this and more on one page, with its lineage"),
                (f"http://localhost:{ui_port}", "the jobs of this run in the Spark UI"),
                ("make down", "stops the Spark server; the tables stay"),
            ],
            "<<",
        )
    )


if __name__ == "__main__":
    main()
