"""Recomputes marts in DuckDB from their definitions. The project's marts must equal the result.

The SQL follows the definitions, not the models, and is as plain as they are: window functions over
all customers, joins by inequality, decimals. `prepare` makes the tables that most marts need from
the raw tables. A `Mart` is a key and one query on these tables. Results of models (personas,
predictions), sentences (recommendations) and the history of runs are not recomputed. For warnings,
only the parts of their sentences are: counts and days.

Money is decimal(18,2) and a quantity decimal(18,3), both exact. Doubles may differ by rounding.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

SEEDS = Path(__file__).resolve().parent.parent / "seeds"
HISTORY_MONTHS = 12
HOLDOUT_DAYS = 90
WINDOW_DAYS = 90
AFFINITY_CATEGORIES = 200
ISOLATING_GAP_DAYS = 90
LINES_PER_ISOLATED_LINE = 100

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Mart:
    """One mart: the columns that identify a row, and the query for its rows."""

    key: tuple[str, ...]
    sql: str


def recompute(connection: duckdb.DuckDBPyConnection, mart: str) -> Rows:
    """Returns the rows of `mart`, column -> value, on a connection that is prepared."""
    cursor = connection.execute(MARTS[mart].sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def prepare(connection: duckdb.DuckDBPyConnection, as_of_date: date | None) -> None:
    """Makes the tables and macros that the marts are computed from.

    `connection` holds the raw tables `transactions` and `customers`, and what the lifetime value
    step found, `lifetime_value`, `model_evaluation` and `purchase_forecast`; its time zone is UTC.
    """
    connection.execute(MACROS)
    connection.execute(CHECKED_LINES)
    connection.execute(
        "create table as_of as "
        "select coalesce($as_of_date::date, max(ordered_at::date)) as as_of_date "
        "from checked_lines where reason is null",
        {"as_of_date": as_of_date},
    )
    for table, sql in TABLES.items():
        connection.execute(f"create table {table} as {sql}")


# --- what the marts are computed from ---------------------------------------------------

MACROS = """
create macro segment_of(r, f) as case
    when r <= 2 and f <= 2 then 'Hibernating'
    when r <= 2 and f <= 4 then 'At Risk'
    when r <= 2 then 'Can''t Lose Them'
    when r = 3 and f <= 2 then 'About To Sleep'
    when r = 3 and f = 3 then 'Need Attention'
    when r <= 4 and f >= 4 then 'Loyal Customers'
    when r = 4 and f = 1 then 'Promising'
    when r = 5 and f = 1 then 'New Customers'
    when f <= 3 then 'Potential Loyalists'
    else 'Champions'
end;
create macro day_type_of(day) as case when isodow(day) >= 6 then 'weekend' else 'weekday' end;
create macro month_of(day) as date_trunc('month', day)::date;
create macro money(amount) as coalesce(amount, 0)::decimal(18, 2);
create macro placeholder_days() as [
    '0001-01-01', '1753-01-01', '1899-12-30', '1899-12-31', '1900-01-01', '1970-01-01', '9999-12-31'
]::date[];
create macro known_text(text) as case
    when not regexp_full_match(
        lower(trim(text)),
        '|null|[(]null[)]|nil|nan|#?n/a|n[.]a[.]|<na>|unknown|undefined|missing|not set|'
        || '[(]not set[)]|uncategorized|[\\\\]n|-|--|[?]'
    ) then trim(text)
end;
create macro is_placeholder(id) as regexp_full_match(
    lower(trim(id)),
    '|null|[(]null[)]|nil|nan|none|#?n/a|n[.]a[.]|na|<na>|unknown|undefined|missing|anonymous|'
    || 'guest|no customer|not set|[(]not set[)]|[\\\\]n|-|--|-1|[?]|[{]?[0.-]*0[0.-]*[}]?|9{7,}'
);
"""

# Raw lines, each with the first reason for its rejection, in the order of the definitions. Of
# usable lines with the same id, the latest version counts, and of its copies the one that was
# loaded first. A line that is missing when its order is replaced no longer counts.
CHECKED_LINES = """
create table checked_lines as
with own as (
    select
        * replace (
            coalesce(quantity, case when amount < 0 then -1 else 1 end) as quantity,
            known_text(product_category) as product_category,
            known_text(payment_method) as payment_method
        ),
        case
            when unparsed_values ->> '$.line' is not null then 'broken_line'
            when unparsed_values ->> '$.updated_at' is not null then 'unreadable_version'
            when unparsed_values ->> '$.is_deleted' is not null then 'unreadable_version'
            when is_deleted then null
            when ordered_at is null then 'missing_timestamp'
            when list_has_any(
                [ordered_at::date, (ordered_at + interval 14 hours)::date],
                placeholder_days()
            ) then 'sentinel_date'
            when amount is null and unparsed_values ->> '$.amount' is null then 'missing_amount'
            when unparsed_values ->> '$.amount' is not null then 'not_a_number'
            when unparsed_values ->> '$.quantity' is not null then 'not_a_number'
            when quantity = 0 and amount = 0 then 'zero_quantity_and_amount'
            when ordered_at > loaded_at then 'future_dated'
        end as own_reason,
        coalesce(order_id, ordered_at::varchar) as order_name,
        row(
            coalesce(updated_at, '0001-01-01'),
            case when replaces_order or is_deleted then loaded_at else '0001-01-01' end,
            coalesce(is_deleted, false)
        ) as version
    from transactions
),

usable as (
    select
        *,
        row_number() over (
            partition by transaction_id, version, own_reason order by loaded_at
        ) as copy,
        max(version) over (partition by transaction_id, own_reason) as latest,
        max(loaded_at) filter (where replaces_order and own_reason is null) over (
            partition by order_name, customer_id
        ) as order_came_again_at
    from own
),

came_again as (
    select distinct order_name, customer_id, transaction_id, loaded_at
    from own
    where replaces_order and own_reason is null
)

select
    usable.* exclude (order_name, version, copy, latest, order_came_again_at),
    case
        when own_reason is not null then own_reason
        when transaction_id is not null and copy > 1 then 'duplicate_transaction_id'
        when transaction_id is not null and version < latest then 'superseded'
        when is_deleted then 'deleted'
        when loaded_at < order_came_again_at and not exists (
            from came_again
            where
                came_again.transaction_id = usable.transaction_id
                and came_again.order_name = usable.order_name
                and came_again.customer_id is not distinct from usable.customer_id
                and came_again.loaded_at = usable.order_came_again_at
        ) then 'superseded'
    end as reason
from usable
"""


def scored(days: str) -> str:
    """SQL of the scored customers as of each day of the query `days` (one column, day)."""
    return f"""
        with orders_then as (
            select
                day,
                customer_id,
                min(ordered_at)::date as ordered_on,
                bool_or(is_purchase) as is_purchase,
                sum(amount) as net
            from lines
            inner join ({days}) as days on ordered_at::date <= day
            where not is_guest
            group by day, customer_id, order_no
        ),

        measured as (
            select
                day,
                customer_id,
                (day - max(ordered_on) filter (where is_purchase))::int as recency_days,
                count(*) filter (where is_purchase) as frequency,
                money(sum(net)) as monetary
            from orders_then
            group by day, customer_id
            having bool_or(is_purchase)
        ),

        compared as (
            select
                *,
                count(*) over (partition by day) as n,
                rank() over (partition by day order by recency_days) - 1 as better,
                rank() over (partition by day order by monetary) - 1 as poorer,
                -- Not a filter: beside another window, DuckDB takes minutes for a million rows.
                count(case when frequency > 1 then 1 end) over (partition by day) as repeat_buyers,
                rank() over (partition by day, frequency > 1 order by frequency) - 1 as rarer,
                count(*) over (partition by day, frequency) as tied
            from measured
        ),

        ranked as (
            select
                day,
                customer_id,
                recency_days,
                frequency,
                monetary,
                case when n = 1 then 5 else greatest(1, 5 - 5 * better // (n - 1)) end::int
                    as r_score,
                case
                    when frequency = 1 then 1
                    when repeat_buyers = 1 then 4
                    else 2 + least(3, 4 * (2 * rarer + tied - 1) // (2 * (repeat_buyers - 1)))
                end::int as f_score,
                case when n = 1 then 1 else least(5, 1 + 5 * poorer // (n - 1)) end::int as m_score
            from compared
        )

        select
            *,
            concat(r_score, f_score, m_score) as rfm_score,
            segment_of(r_score, f_score) as segment
        from ranked
    """


def favorite(column: str) -> str:
    """SQL of each customer's favorite among the known values of `column` in its purchase lines."""
    return f"""
        select distinct on (customer_id) customer_id, {column}, count(*) over (
            partition by customer_id
        ) as known
        from (
            select customer_id, {column}, count(distinct order_no) as orders
            from lines
            where is_purchase and not is_guest and {column} is not null
            group by all
        )
        order by customer_id, orders desc, {column}
    """


TABLES = {
    # Usable lines up to the as-of date. Lines with the same customer and order number are an order;
    # without a number, lines with the same customer and time. All guests are one customer here.
    "lines": """
        select
            customer_id,
            customer_id is null as is_guest,
            dense_rank() over (
                order by customer_id, order_id, case when order_id is null then ordered_at end
            ) as order_no,
            ordered_at,
            product_category,
            payment_method,
            quantity,
            amount,
            quantity > 0 and amount >= 0 as is_purchase
        from checked_lines, as_of
        where reason is null and ordered_at::date <= as_of_date
    """,
    # The days that the lines cover. Lines beyond a long gap are isolated when they are few.
    "period": f"""
        with days as (
            select ordered_at::date as day, count(*) as n from lines group by all
        ),

        gaps as (
            select day as before_gap, lead(day) over (order by day) as after_gap
            from days
            qualify after_gap - before_gap - 1 >= {ISOLATING_GAP_DAYS}
        ),

        isolated as (
            select
                (
                    select max(after_gap)
                    from gaps
                    where
                        {LINES_PER_ISOLATED_LINE}
                        * (select count(*) from lines where ordered_at::date < after_gap)
                        <= (select count(*) from lines)
                ) as first_on,
                (
                    select min(before_gap)
                    from gaps
                    where
                        {LINES_PER_ISOLATED_LINE}
                        * (select count(*) from lines where ordered_at::date > before_gap)
                        <= (select count(*) from lines)
                ) as last_on
        )

        select
            coalesce(first_on, (select min(day) from days)) as first_on,
            coalesce(last_on, (select max(day) from days)) as last_on,
            last_on is not null as has_late_lines
        from isolated
    """,
    "orders": """
        select
            order_no,
            any_value(customer_id) as customer_id,
            bool_or(is_guest) as is_guest,
            min(ordered_at) as ordered_at,
            min(ordered_at)::date as ordered_on,
            min(ordered_at) filter (where is_purchase)::date as purchased_on,
            bool_or(is_purchase) as is_purchase,
            sum(quantity) as units,
            coalesce(sum(amount) filter (where amount > 0), 0) as gross,
            -coalesce(sum(amount) filter (where amount < 0), 0) as returned,
            sum(amount) as net
        from lines
        group by order_no
    """,
    # One row per customer who is known on the as-of date, from a line or from the customers file.
    # In the file, the latest registration counts.
    "features": f"""
        with registered as (
            select distinct on (customer_id) *
            from (
                select * replace (
                    case when registered_on not in placeholder_days() then registered_on end
                    as registered_on,
                    case when age between 1 and 120 then age end as age,
                    known_text(gender) as gender,
                    known_text(region) as region,
                    known_text(membership_level) as membership_level
                )
                from customers
            )
            where customer_id is not null
            order by customer_id, registered_on desc nulls last
        ),

        bought as (
            select
                customer_id,
                min(ordered_on) filter (where is_purchase) as first_order_on,
                max(ordered_on) filter (where is_purchase) as last_order_on,
                count(*) filter (where is_purchase) as orders,
                sum(units)::decimal(18, 3) as units,
                sum(gross) as gross,
                sum(returned) as returned,
                sum(net) as net,
                count(distinct ordered_on) filter (where is_purchase) as active_days,
                count(*) filter (where is_purchase and isodow(ordered_on) in (6, 7)) as weekend,
                count(*) filter (where is_purchase and month(ordered_on) in (11, 12)) as season
            from orders
            where not is_guest
            group by customer_id
        ),

        scored as ({scored("select as_of_date as day from as_of")})

        select
            customer_id,
            registered_on,
            age,
            gender,
            region,
            membership_level,
            first_order_on,
            last_order_on,
            (as_of_date - last_order_on)::int as recency_days,
            coalesce(orders, 0) as orders,
            coalesce(units, 0)::decimal(18, 3) as units,
            money(gross) as gross_revenue,
            money(returned) as returned_revenue,
            money(net) as net_revenue,
            net / nullif(orders, 0) as average_order_value,
            coalesce(active_days, 0) as active_days,
            (
                as_of_date - least(
                    case when registered_on <= as_of_date then registered_on end, first_order_on
                )
            )::int as tenure_days,
            (last_order_on - first_order_on) / nullif(orders - 1, 0) as average_days_between_orders,
            coalesce(categories.known, 0) as category_count,
            categories.product_category as favorite_category,
            methods.payment_method as favorite_payment_method,
            weekend / nullif(orders, 0) as weekend_order_share,
            season / nullif(orders, 0) as holiday_season_order_share,
            r_score,
            f_score,
            m_score,
            rfm_score,
            coalesce(segment, 'Prospects') as segment,
            coalesce(m_score = 5, false) as is_big_spender
        from registered
        full join bought using (customer_id)
        left join scored using (customer_id)
        left join ({favorite("product_category")}) as categories using (customer_id)
        left join ({favorite("payment_method")}) as methods using (customer_id)
        cross join as_of
        where bought.customer_id is not null or registered_on is null or registered_on <= as_of_date
    """,
    # Uses the models of this as-of date. Without them, risk comes from recency and value from past
    # revenue per year.
    "risks": """
        with thresholds as (
            select
                max(value) filter (where audience = 'medium risk') as medium_from,
                max(value) filter (where audience = 'low risk') as low_from
            from model_evaluation
            where metric = 'churn_threshold'
        ),

        paced as (
            select
                *,
                greatest(net_revenue * 100, 0)::hugeint as cents,
                greatest(as_of_date - first_order_on, 365) as days
            from features, as_of
        )

        select
            paced.*,
            case
                when churn_score is not null and low_from is not null then case
                    when churn_score >= low_from then 'low'
                    when churn_score >= medium_from then 'medium'
                    else 'high'
                end
                when r_score <= 2 then 'high'
                when r_score = 3 then 'medium'
                when r_score >= 4 then 'low'
            end as churn_risk,
            -- Half up: (2 * cents * 365 + days) / (2 * days), rounded down.
            coalesce(
                predicted_value_12m,
                (((2 * cents * 365 + days) // (2 * days)) / 100)::decimal(18, 2)
            ) as value_at_stake
        from paced
        left join lifetime_value using (customer_id, as_of_date)
        cross join thresholds
    """,
    "month_ends": f"""
        select last_day(as_of_date - to_months(months_ago::int)) as month_end
        from as_of, range({HISTORY_MONTHS} + 1) as t (months_ago)
        where last_day(as_of_date - to_months(months_ago::int)) <= as_of_date
        order by month_end desc
        limit {HISTORY_MONTHS}
    """,
    # Each month end with the one before it, which may be earlier than the history.
    "months": """
        select month_end, last_day(month_end - to_months(1)) as previous_end
        from month_ends
    """,
    "history": scored("select distinct unnest([month_end, previous_end]) as day from months"),
    "moves": """
        with revenue as (
            select month_end, customer_id, money(sum(amount)) as month_net_revenue
            from months
            inner join lines on ordered_at::date > previous_end and ordered_at::date <= month_end
            group by all
        )

        select
            months.month_end,
            now.* exclude (day),
            coalesce(before.segment, 'Prospects') as previous_segment,
            money(revenue.month_net_revenue) as month_net_revenue
        from months
        inner join history as now on months.month_end = now.day
        left join history as before
            on months.previous_end = before.day and now.customer_id = before.customer_id
        left join revenue
            on months.month_end = revenue.month_end and now.customer_id = revenue.customer_id
    """,
}

# --- the marts --------------------------------------------------------------------------

CUSTOMER_MARTS = {
    "customer_features": Mart(("customer_id",), "from features"),
    "customers": Mart(
        ("customer_id",),
        "select features.*, churn_risk from features inner join risks using (customer_id)",
    ),
    "customer_rfm": Mart(
        ("customer_id",),
        """
        select
            customer_id,
            recency_days,
            orders as frequency,
            net_revenue as monetary,
            r_score,
            f_score,
            m_score,
            rfm_score,
            segment
        from features
        where orders > 0
        """,
    ),
    "customer_segment_history": Mart(("month_end", "customer_id"), "from moves"),
    # The first month end of the history has no previous month end to move from.
    "segment_migration": Mart(
        ("month_end", "from_segment", "to_segment"),
        """
        select
            month_end,
            previous_segment as from_segment,
            segment as to_segment,
            count(*) as customers,
            sum(month_net_revenue) as net_revenue
        from moves
        where month_end > (select min(month_end) from month_ends)
        group by all
        """,
    ),
    "rfm_cells": Mart(
        ("r_score", "f_score"),
        """
        select
            r_score::int as r_score,
            f_score::int as f_score,
            segment_of(r_score, f_score) as segment,
            count(customer_id) as customers,
            sum(net_revenue) / nullif(count(customer_id), 0) as average_revenue
        from range(1, 6) as r (r_score)
        cross join range(1, 6) as f (f_score)
        left join features using (r_score, f_score)
        group by r_score, f_score
        """,
    ),
    "segment_summary": Mart(
        ("segment",),
        f"""
        with ends as (
            select month_end, row_number() over (order by month_end desc) as months_ago
            from month_ends
            order by month_end desc
            limit 2
        ),

        -- A customer whose first purchase was in the month was a prospect before.
        gains as (
            select
                segment,
                count(*) filter (where months_ago = 1) - count(*) filter (where months_ago = 2)
                    as gained
            from history
            inner join ends on history.day = ends.month_end
            group by segment
        )

        select
            playbook.segment,
            count(features.customer_id) as customers,
            count(features.customer_id) / nullif((select count(*) from features), 0)
                as customer_share,
            case
                when (select count(*) from ends) < 2 or not exists (from gains) then null
                when playbook.segment = 'Prospects' then null
                else coalesce(gained, 0)
            end::bigint as customers_gained,
            money(sum(net_revenue)) as net_revenue,
            money(sum(net_revenue))
            / nullif(greatest((select sum(net_revenue) from features), 0), 0) as revenue_share,
            sum(recency_days) / nullif(count(features.customer_id), 0) as average_recency_days,
            sum(orders) / nullif(count(features.customer_id), 0) as average_orders,
            sum(net_revenue) / nullif(sum(orders), 0) as average_order_value,
            playbook.recommended_action
        from read_csv('{SEEDS}/segment_playbook.csv') as playbook
        left join features using (segment)
        left join gains using (segment)
        group by playbook.segment, playbook.recommended_action, gained
        """,
    ),
    "segment_validation": Mart(
        ("segment",),
        f"""
        with scored as ({scored(f"select as_of_date - {HOLDOUT_DAYS} as day from as_of")}),

        later as (
            select customer_id, count(*) as orders
            from orders, as_of
            where not is_guest and purchased_on > as_of_date - {HOLDOUT_DAYS}
            group by customer_id
        )

        select
            segment,
            count(*) as customers,
            count(later.orders) / count(*) as repurchase_rate,
            coalesce(sum(later.orders), 0) / count(*) as orders_per_customer
        from scored
        left join later using (customer_id)
        where (select last_on >= as_of_date - {HOLDOUT_DAYS // 10} from period, as_of)
        group by segment
        """,
    ),
    "churn_summary": Mart(
        ("churn_risk",),
        """
        select
            churn_risk,
            count(customer_id) as customers,
            money(sum(net_revenue)) as net_revenue,
            sum(recency_days) / nullif(count(customer_id), 0) as average_recency_days
        from (values ('low'), ('medium'), ('high')) as levels (churn_risk)
        left join risks using (churn_risk)
        group by churn_risk
        """,
    ),
    "customers_at_risk": Mart(
        ("customer_id",),
        """
        select
            customer_id,
            segment,
            net_revenue,
            recency_days,
            churn_risk,
            value_at_stake,
            favorite_category
        from risks
        where churn_risk = 'high' and m_score >= 4
        """,
    ),
    "cohort_retention": Mart(
        ("cohort_month", "months_since"),
        """
        with cohorts as (
            select customer_id, month_of(first_order_on) as cohort_month
            from features
            where orders > 0
        ),

        sizes as (
            select cohort_month, count(*) as cohort_customers from cohorts group by all
        ),

        cells as (
            select
                sizes.*,
                months_since::int as months_since,
                (cohort_month + to_months(months_since::int))::date as active_month
            from
                sizes,
                as_of,
                range(datediff('month', cohort_month, as_of_date) + 1) as t (months_since)
        ),

        -- Returns before the first purchase count in month 0.
        activity as (
            select
                cohort_month,
                greatest(0, datediff('month', cohort_month, ordered_on)) as months_since,
                count(distinct customer_id) filter (where is_purchase) as active_customers,
                sum(net) as net
            from orders
            inner join cohorts using (customer_id)
            group by all
        )

        select
            cohort_month,
            months_since,
            cohort_customers,
            coalesce(active_customers, 0) as active_customers,
            coalesce(active_customers, 0) / cohort_customers as retention_rate,
            money(net) as net_revenue,
            sum(money(net)) over (partition by cohort_month order by months_since)
            / cohort_customers as cumulative_revenue_per_customer,
            last_day(active_month) > as_of_date as is_partial
        from cells
        left join activity using (cohort_month, months_since)
        cross join as_of
        """,
    ),
}

BEHAVIOR_MARTS = {
    "monthly_revenue": Mart(
        ("month",),
        """
        with months as (
            select unnest(
                generate_series(month_of(min(ordered_on)), any_value(as_of_date), interval 1 month)
            )::date as month
            from orders, as_of
        ),

        sales as (
            select
                month_of(ordered_on) as month,
                is_purchase,
                orders.customer_id,
                net,
                case
                    when is_guest then 'guest'
                    when month_of(ordered_on) = month_of(first_order_on) then 'new'
                    else 'returning'
                end as buyer
            from orders
            left join features using (customer_id)
        )

        select
            month,
            count(*) filter (where is_purchase) as orders,
            count(distinct customer_id) filter (where is_purchase) as customers,
            count(distinct customer_id) filter (where is_purchase and buyer = 'new')
                as new_customers,
            money(sum(net)) as net_revenue,
            money(sum(net) filter (where buyer = 'new')) as new_customer_revenue,
            money(sum(net) filter (where buyer = 'returning')) as returning_customer_revenue,
            money(sum(net) filter (where buyer = 'guest')) as guest_revenue,
            money(sum(net)) / nullif(count(*) filter (where is_purchase), 0) as average_order_value
        from months
        left join sales using (month)
        group by month
        """,
    ),
    "purchases_by_weekday_hour": Mart(
        ("weekday", "hour"),
        """
        select
            isodow(ordered_on)::int as weekday,
            hour(ordered_at)::int as hour,
            count(*) filter (where is_purchase) as orders,
            count(*) filter (where is_purchase and ordered_at::time <> '00:00') as timed_orders,
            money(sum(net)) as net_revenue
        from orders
        group by all
        """,
    ),
    "weekend_vs_weekday": Mart(
        ("day_type",),
        """
        with days as (
            select day_type_of(day) as day_type
            from (
                select unnest(generate_series(first_on, last_on, interval 1 day)) as day
                from period
            )
        ),

        sales as (
            select
                day_type_of(ordered_on) as day_type,
                count(*) filter (where is_purchase) as orders,
                count(*) filter (where is_purchase and ordered_on between first_on and last_on)
                    as orders_in_period,
                sum(net) as net
            from orders, period
            group by all
        )

        select
            day_type,
            coalesce(orders, 0) as orders,
            coalesce(orders_in_period, 0)
            / nullif((select count(*) from days where days.day_type = types.day_type), 0)
                as orders_per_day,
            money(net) as net_revenue,
            net / nullif(orders, 0) as average_order_value
        from (values ('weekend'), ('weekday')) as types (day_type)
        left join sales using (day_type)
        """,
    ),
    "purchases_by_category": Mart(
        ("product_category",),
        """
        select
            coalesce(product_category, 'Unknown') as product_category,
            count(distinct order_no) filter (where is_purchase) as orders,
            sum(quantity)::decimal(18, 3) as units,
            count(distinct customer_id) filter (where is_purchase) as customers,
            money(coalesce(sum(amount) filter (where amount > 0), 0)) as gross_revenue,
            money(coalesce(-sum(amount) filter (where amount < 0), 0)) as returned_revenue,
            money(sum(amount)) as net_revenue,
            sum(amount) / nullif(greatest((select sum(amount) from lines), 0), 0)
                as revenue_share,
            coalesce(-sum(amount) filter (where amount < 0), 0)
            / sum(amount) filter (where amount > 0) as return_rate
        from lines
        group by coalesce(product_category, 'Unknown')
        """,
    ),
    "purchases_by_payment_method": Mart(
        ("payment_method",),
        """
        select
            coalesce(payment_method, 'Unknown') as payment_method,
            count(distinct order_no) filter (where is_purchase) as orders,
            money(sum(amount)) as net_revenue,
            sum(amount) / nullif(count(distinct order_no) filter (where is_purchase), 0)
                as average_order_value,
            count(distinct order_no) filter (where is_purchase)
            / nullif((select count(*) from orders where is_purchase), 0) as order_share
        from lines
        group by coalesce(payment_method, 'Unknown')
        """,
    ),
    "purchases_by_segment_category": Mart(
        ("segment", "product_category"),
        """
        with cells as (
            select
                segment,
                coalesce(product_category, 'Unknown') as product_category,
                count(distinct order_no) filter (where is_purchase) as orders,
                money(sum(amount)) as net_revenue
            from lines
            inner join features using (customer_id)
            group by segment, coalesce(product_category, 'Unknown')
        ),

        shares as (
            select
                *,
                orders / nullif(sum(orders) over (partition by segment), 0) as of_segment,
                sum(orders) over (partition by product_category)
                / nullif(sum(orders) over (), 0) as of_all
            from cells
        )

        select
            segment,
            product_category,
            orders,
            net_revenue,
            of_segment / nullif(of_all, 0) as affinity_index
        from shares
        """,
    ),
    "category_affinity": Mart(
        ("antecedent", "consequent"),
        f"""
        with baskets as (
            select distinct order_no, product_category as category
            from lines
            where is_purchase and product_category is not null
        ),

        sizes as (
            select category, count(*) as orders
            from baskets
            group by all
            order by orders desc, category
            limit {AFFINITY_CATEGORIES}
        ),

        compared as (
            select order_no, category from baskets inner join sizes using (category)
        ),

        pairs as (
            select a.category as antecedent, c.category as consequent, count(*) as orders_both
            from compared as a
            inner join compared as c on a.order_no = c.order_no and a.category <> c.category
            group by all
        )

        select
            antecedent,
            consequent,
            orders_both,
            orders_both / baskets as support,
            orders_both / antecedents.orders as confidence,
            (orders_both / antecedents.orders) / (consequents.orders / baskets) as lift,
            (select min(orders) from sizes) as lowest_category_orders
        from pairs
        inner join sizes as antecedents on antecedent = antecedents.category
        inner join sizes as consequents on consequent = consequents.category
        cross join (select count(distinct order_no) as baskets from baskets)
        """,
    ),
    "repeat_purchase": Mart(
        ("order_number",),
        """
        with numbered as (
            select
                row_number() over (partition by customer_id order by ordered_at) as order_number,
                lead(ordered_on) over (partition by customer_id order by ordered_at)
                - ordered_on as days_to_next
            from orders
            where is_purchase and not is_guest
        )

        select
            order_number,
            count(*) as customers,
            count(days_to_next) / count(*) as continued_share,
            median(days_to_next)::double as median_days_to_next
        from numbered
        group by order_number
        """,
    ),
    "revenue_concentration": Mart(
        ("decile",),
        """
        with ranked as (
            select
                net_revenue as x,
                row_number() over (order by net_revenue desc) as place,
                row_number() over (order by net_revenue) as i
            from features
            where orders > 0
        ),

        totals as (
            select
                count(*) as n,
                case when sum(x) > 0 then sum(x) end as total,
                2 * sum(i * x) / (n * total) - (n + 1) / n as gini
            from ranked
        ),

        deciles as (
            select decile, count(x) as customers, money(sum(x)) as net_revenue
            from range(1, 11) as t (decile)
            cross join totals
            left join ranked
                on place between (decile - 1) * n // 10 + 1 and decile * n // 10
            group by decile
        )

        select
            decile::int as decile,
            customers,
            net_revenue,
            net_revenue / total as revenue_share,
            sum(net_revenue) over (order by decile) / total as cumulative_share,
            gini
        from deciles, totals
        """,
    ),
}

INSIGHT_MARTS = {
    "forecast_accuracy": Mart(
        ("origin_on", "model", "audience"),
        """
        select
            forecast.origin_on,
            forecast.model,
            forecast.audience,
            forecast.value as forecast_orders,
            low.value as low_80_orders,
            high.value as high_80_orders,
            forecast.baseline as actual_orders,
            (forecast.value - forecast.baseline) / nullif(forecast.baseline, 0) as error_rate
        from model_evaluation as forecast
        left join model_evaluation as low
            on low.origin_on = forecast.origin_on and low.model = forecast.model
            and low.audience = forecast.audience and low.metric = 'holdout_orders_low_80'
        left join model_evaluation as high
            on high.origin_on = forecast.origin_on and high.model = forecast.model
            and high.audience = forecast.audience and high.metric = 'holdout_orders_high_80'
        where forecast.metric = 'holdout_orders'
        """,
    ),
    "revenue_forecast": Mart(
        ("period", "starts_on"),
        """
        select
            orders.period,
            orders.starts_on,
            orders.ends_on,
            orders.model,
            orders.forecast as existing_customer_orders,
            orders.low_80 as orders_low_80,
            orders.high_80 as orders_high_80,
            revenue.forecast::decimal(18, 2) as existing_customer_revenue,
            revenue.low_50::decimal(18, 2) as revenue_low_50,
            revenue.high_50::decimal(18, 2) as revenue_high_50,
            revenue.low_80::decimal(18, 2) as revenue_low_80,
            revenue.high_80::decimal(18, 2) as revenue_high_80,
            revenue.low_95::decimal(18, 2) as revenue_low_95,
            revenue.high_95::decimal(18, 2) as revenue_high_95
        from (from purchase_forecast join as_of using (as_of_date) where quantity = 'orders')
            as orders
        left join (from purchase_forecast where quantity = 'net_revenue') as revenue
            using (period, starts_on)
        """,
    ),
    # Window 0 ends on the as-of date, 1 is the one before it, 2 the one before that.
    "executive_summary": Mart(
        ("metric",),
        f"""
        with windows as (
            select
                w,
                as_of_date - {WINDOW_DAYS} * w as last_on,
                as_of_date - {WINDOW_DAYS} * (w + 1) + 1 as first_on,
                period.first_on <= as_of_date - {WINDOW_DAYS} * (w + 1) + 1
                and period.last_on >= as_of_date - {WINDOW_DAYS // 10}
                and not has_late_lines as is_covered
            from as_of, period, (values (0), (1), (2)) as numbers (w)
        ),

        sales as (
            select
                w,
                money(sum(net)) as net_revenue,
                money(sum(net) filter (where not is_guest)) as customer_revenue,
                count(*) filter (where is_purchase) as orders,
                sum(returned) / nullif(sum(gross), 0) as return_rate
            from windows
            left join orders on ordered_on between first_on and last_on
            group by w
        ),

        active as (
            select w, customer_id, count(*) as orders
            from windows
            inner join orders on ordered_on between first_on and last_on
            where is_purchase and not is_guest
            group by all
        ),

        customer_counts as (
            select
                w,
                count(active.customer_id) as active_customers,
                count(*) filter (where active.orders >= 2) as repeating,
                count(before.customer_id) as retained,
                (select count(*) from active as a where a.w = windows.w + 1) as active_before,
                (
                    select count(*) from features where first_order_on between first_on and last_on
                ) as new_customers
            from windows
            left join active using (w)
            left join active as before
                on windows.w + 1 = before.w and active.customer_id = before.customer_id
            group by w, first_on, last_on
        ),

        measures as (
            select
                w,
                net_revenue::double as net_revenue,
                orders::double as orders,
                active_customers::double as active_customers,
                new_customers::double as new_customers,
                net_revenue / nullif(orders, 0) as average_order_value,
                customer_revenue / nullif(active_customers, 0) as revenue_per_active_customer,
                repeating / nullif(active_customers, 0) as repeat_rate,
                retained / nullif(active_before, 0) as retention_rate,
                return_rate
            from sales
            inner join customer_counts using (w)
        ),

        windowed as (
            select *
            from measures unpivot include nulls (value for metric in (columns(* exclude (w))))
        ),

        totals as (
            select
                count(*)::double as customers,
                money(sum(net_revenue))::double as lifetime_net_revenue,
                money(sum(net_revenue)) / nullif(count(*) filter (where orders > 0), 0)
                    as average_customer_value,
                if(
                    count(churn_risk) > 0, count(*) filter (where churn_risk = 'high'), null
                )::double as high_risk_customers,
                if(
                    count(churn_risk) > 0,
                    money(sum(value_at_stake) filter (where churn_risk = 'high')),
                    null
                )::double as revenue_at_stake
            from risks
        ),

        metrics as (
            select
                now.metric,
                case
                    when
                        now.metric = 'retention_rate'
                        and not (select is_covered from windows where w = 1) then null
                    else now.value
                end as value,
                case
                    when (
                        select is_covered
                        from windows
                        where w = if(now.metric in ('new_customers', 'retention_rate'), 2, 1)
                    ) then before.value
                end as previous_value
            from windowed as now
            inner join windowed as before using (metric)
            where now.w = 0 and before.w = 1
            union all
            select metric, value, null
            from totals unpivot include nulls (value for metric in (columns(*)))
        )

        select
            metric,
            value,
            previous_value,
            case when previous_value > 0 then value / previous_value - 1 end as change_rate,
            unit,
            definition
        from metrics
        left join read_csv('{SEEDS}/metric_definitions.csv') using (metric)
        """,
    ),
    "data_quality": Mart(
        ("reason",),
        f"""
        with left_out as (
            select
                case
                    when reason is not null then reason
                    when ordered_at::date > as_of_date then 'after_as_of_date'
                end as reason,
                amount
            from checked_lines, as_of
        )

        select
            reason,
            meaning,
            advice,
            count(left_out.reason) as rows,
            money(sum(amount)) as amount,
            count(left_out.reason) / nullif((select count(*) from checked_lines), 0) as share
        from read_csv('{SEEDS}/rejection_reasons.csv')
        left join left_out using (reason)
        group by reason, meaning, advice
        """,
    ),
}

MARTS = CUSTOMER_MARTS | BEHAVIOR_MARTS | INSIGHT_MARTS

# Warning -> query for the part of its sentence with the count or the day; null without a warning.
WARNINGS = {
    "late_last_day": """
        select 'The last line is dated ' || max(ordered_at::date)
        from lines, period
        where ordered_at::date > last_on
    """,
    "early_first_day": """
        select 'The first line is dated ' || min(ordered_at::date)
        from lines, period
        where ordered_at::date < first_on
    """,
    "early_last_day": """
        select 'The last line is dated ' || max(last_on)
        from period, as_of
        where not has_late_lines and last_on < as_of_date - 9
    """,
    "long_orders": """
        with spans as (
            select max(ordered_at::date) - min(ordered_at::date) > 31 as is_long
            from lines
            where is_purchase
            group by order_no
        )

        select case
            when count_if(is_long) >= greatest(1, 0.01 * count(*))
                then count_if(is_long) || ' order'
        end
        from spans
    """,
    "broken_lines": """
        select nullif(count(*), 0) || ' line' from checked_lines where reason = 'broken_line'
    """,
    "sentinel_dates": """
        select nullif(count(*), 0) || ' line' from checked_lines where reason = 'sentinel_date'
    """,
    "unmatched_customers": """
        with ordering as (select distinct customer_id as id from lines where not is_guest),

        listed as (
            select distinct customer_id as id from customers semi join features using (customer_id)
        ),

        other_forms as (
            select distinct ordering.id
            from (from ordering anti join listed using (id)) as ordering
            inner join listed
                on
                    lower(trim(ordering.id)) = lower(trim(listed.id))
                    or try_cast(ordering.id as decimal(38, 6))
                    = try_cast(listed.id as decimal(38, 6))
        )

        select case
            when exists (from other_forms) then (select count(*) from other_forms) || ' of the '
            when
                exists (from listed)
                and exists (from ordering)
                and not exists (from listed semi join ordering using (id))
                then ' in the transactions. For example, the customers file has '
        end
    """,
    "placeholder_id": """
        select nullif(count(*), 0) || ' customer id'
        from features
        where
            orders > 0
            and is_placeholder(customer_id)
    """,
    "dominant_id": """
        select nullif(count(*), 0) || ' customer id'
        from features
        where
            orders >= 0.1 * (select sum(orders) from features)
            and orders >= 10 * (select avg(orders) from features where orders > 0)
    """,
    "near_duplicate_ids": """
        with ids as (
            select lower(trim(customer_id)) as folded, count(distinct customer_id) as ids
            from lines
            where not is_guest and not is_placeholder(customer_id)
            group by folded
        )

        select sum(ids) || ' customer ids' from ids where ids > 1
    """,
    "near_duplicate_categories": """
        select nullif(count(*), 0) || ' category name'
        from (
            select 1
            from lines
            where product_category is not null
            group by lower(trim(regexp_replace(product_category, '\\s', ' ', 'g')))
            having count(distinct product_category) > 1
        )
    """,
    "damaged_text": """
        select nullif(count(distinct text), 0) || ' value'
        from (
            select customer_id as text from features union select product_category from lines
        )
        where contains(text, chr(65533))
    """,
}
