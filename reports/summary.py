"""Prints the result of a run, from the marts: the last lines of `make run`."""

import os
import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from pyhive import hive
from pyhive.exc import OperationalError
from thrift.transport.TTransport import TTransportException

from ml.environment import PREFIX, in_environment
from ml.loading.wording import counted
from reports.numbers import half_up
from reports.project import MINIMUM_SAMPLE, ROW_JUMP, WINDOW_DAYS

Row = tuple


def query(cursor: hive.Cursor, sql: str) -> list[Row]:
    """Returns all rows of a query on the marts."""
    cursor.execute(in_environment(sql))
    return cursor.fetchall()


def whole(value: Decimal | float | None) -> str:
    """Formats an amount or a count without decimals."""
    return "-" if value is None else f"{half_up(value, 0):z,}"


def percent(value: float | None) -> str:
    """Formats a fraction as a percentage."""
    return "-" if value is None else f"{half_up(100 * value, 1):z}%"


def table(rows: Sequence[Sequence[str]], align: str) -> str:
    """Aligns rows of text in columns; `align` has < or > for each column."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(align))]
    lines = [
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True)
        )
        for row in rows
    ]
    return "\n".join(f"  {line.rstrip()}" for line in lines)


def warnings(cursor: hive.Cursor) -> str:
    """Describes what looks wrong in the data, and what to do about it; empty if nothing does."""
    rows = query(cursor, "select finding, advice from marts.data_warnings order by display_order")
    return "\n  ".join(["Look at this first", *map(" ".join, rows)]) if rows else ""


def headline(cursor: hive.Cursor) -> str:
    """Describes customers, revenue, the last window, and the value at stake."""
    ((as_of_date, first_on, last_on),) = query(
        cursor,
        "select as_of_date, first_on, last_on "
        "from intermediate.int_as_of_date cross join intermediate.int_data_period",
    )
    if as_of_date is None:
        return "No line of the source can be used."
    if first_on is None:
        return f"No usable line of the source is dated {as_of_date} or earlier."
    value, previous = metrics(cursor)
    known = (
        f"{counted(value['customers'], 'customer')}, "
        f"{whole(value['lifetime_net_revenue'])} net revenue"
    )
    retained = value["retention_rate"]
    lines = [
        f"As of {as_of_date}: {known if value['customers'] else 'no line names a customer'}.",
        f"Last {WINDOW_DAYS} days: {whole(value['net_revenue'])} net revenue"
        f"{trend(value['net_revenue'], previous['net_revenue'])}, "
        + counted(value["active_customers"], "active customer")
        + ("." if retained is None else f", {percent(retained)} retained."),
        no_comparison(previous["net_revenue"], *map(day, (as_of_date, first_on, last_on))),
    ]
    if value["high_risk_customers"] is not None:
        at_risk = counted(value["high_risk_customers"], "customer")
        at_stake = whole(value["revenue_at_stake"])
        lines.append(f"At high risk of churn: {at_risk}, {at_stake} at stake.")
    return "\n".join(filter(None, lines))


def metrics(cursor: hive.Cursor) -> tuple[dict, dict]:
    """Returns the metrics of the executive summary, now and in the window before."""
    rows = query(cursor, "select metric, value, previous_value from marts.executive_summary")
    return {metric: now for metric, now, _ in rows}, {metric: before for metric, _, before in rows}


def trend(value: float, previous: float | None) -> str:
    """Describes the change against the window before; empty if its value was not positive."""
    if previous is None or previous <= 0:
        return ""
    change = half_up(100 * (value - previous) / previous, 1)
    sign = "+" if change else ""
    return f" ({change:{sign}z}% against the {WINDOW_DAYS} days before)"


def no_comparison(previous: float | None, as_of_date: date, first_on: date, last_on: date) -> str:
    """Explains why there is no comparison with the window before; empty if there is one."""
    if previous is not None:
        return ""
    begins_late = (as_of_date - first_on).days + 1 < 2 * WINDOW_DAYS
    edge = f"begin on {first_on}" if begins_late else f"end on {last_on}"
    return f"There is no comparison with the {WINDOW_DAYS} days before: the data {edge}."


def day(value: date | str) -> date:
    """Converts a day, which PyHive returns as text."""
    return date.fromisoformat(str(value))


def segments(cursor: hive.Cursor) -> str:
    """Lists segments with their shares of customers and revenue, best first."""
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
    if not rows:
        return "  No segments: no line names a customer."
    cells = [
        (segment, whole(customers), percent(share), whole(revenue), percent(revenue_share))
        for segment, customers, share, revenue, revenue_share in rows
    ]
    cells.insert(0, ("Segment", "customers", "share", "revenue", "share"))
    # There are no shares if all revenue together is zero or negative.
    shown = 4 if rows[0][4] is None else 5
    return table([row[:shown] for row in cells], "<>>>>"[:shown])


def personas(cursor: hive.Cursor) -> str:
    """Lists personas with their shares and profiles, largest first."""
    rows = query(
        cursor,
        "select persona, customers, customer_share, description from marts.personas "
        "order by customers desc, cluster",
    )
    if not rows:
        return "  No personas: too few customers with a purchase, or too alike."
    cells = [
        (persona, whole(customers), percent(share), description)
        for persona, customers, share, description in rows
    ]
    return table([("Persona", "customers", "share", "profile"), *cells], "<>><")


def data_quality(cursor: hive.Cursor) -> str:
    """Lists the lines that are not in the marts, by reason."""
    rows = query(
        cursor,
        "select reason, rows, amount from marts.data_quality where rows > 0 "
        "order by rows desc, reason",
    )
    if not rows:
        ((lines,),) = query(cursor, "select count(*) from staging.stg_transactions")
        return "Every line of the source is in the marts." if lines else "The source has no lines."
    left_out = ", ".join(f"{reason} {whole(count)}" for reason, count, _ in rows)
    return (
        f"Lines left out: {left_out}.\n"
        f"They are in {in_environment('staging.rejected_transactions')}, "
        "except lines after the as-of date, which are in raw.transactions."
    )


def row_changes(cursor: hive.Cursor) -> str:
    """Compares the rows of the marts with the build before; empty after the first build."""
    rows = query(
        cursor,
        "select table_name, rows, previous_rows, is_jump from marts.table_history "
        "where is_last and previous_rows is not null order by table_name",
    )
    jumps = [
        f"{table} from {before:,} to {now:,}" for table, now, before, is_jump in rows if is_jump
    ]
    if jumps:
        return f"Look at this: the rows of these marts have jumped: {', '.join(jumps)}."
    if not rows:
        return ""
    return (
        f"No mart of {MINIMUM_SAMPLE} rows or more has grown or shrunk by more than "
        f"{100 * ROW_JUMP:.0f}% since the build before."
    )


def text(cursor: hive.Cursor) -> str:
    """Returns the complete summary, in paragraphs."""
    sections = (warnings, headline, segments, personas, data_quality, row_changes)
    parts = [section(cursor) for section in sections]
    return "\n\n".join(filter(None, parts))


def main() -> None:
    """Prints the summary, and where to look next."""
    port = os.environ.get("THRIFT_PORT") or "10000"
    try:
        with hive.connect("localhost", int(port), username="summary") as connection:
            cursor = connection.cursor()
            print(f"\n{text(cursor)}\n")
            # The server may have been started with another SPARK_UI_PORT.
            cursor.execute("set spark.ui.port")
            ((_, ui_port),) = cursor.fetchall()
    except (TTransportException, OperationalError):
        sys.exit(
            "error: the marts cannot be read; start the server with make up, and build the marts "
            "with make run"
        )
    print(
        "Where to look next\n"
        + table(
            [
                ("make sql", "a SQL prompt on the marts; try: select * from customers limit 5;"),
                (
                    f"jdbc:hive2://localhost:{port}/{PREFIX}marts",
                    "the same for DBeaver, Superset, ...",
                ),
                (
                    f"{os.environ.get('DBT_TARGET_PATH') or 'target'}/site/index.html",
                    "all this and more on one page, with the lineage of the tables",
                ),
                (f"http://localhost:{ui_port}", "the Spark UI with the jobs of this run"),
                ("make down", "stops the Spark server; the tables stay"),
            ],
            "<<",
        )
    )


if __name__ == "__main__":
    main()
