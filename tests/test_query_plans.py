"""Tests that Spark's plans use the layout of the tables.

They look for mistakes that are slow only with more data: a shuffle of all transactions, a task that
gets all customers, Python for each row. They read the plans and jobs that Spark's UI shows.
"""

import re
from itertools import takewhile
from pathlib import Path

from conftest import Query, on_data
from test_monitoring import of_application


def operators_above(plan: str, leaf: str) -> list[list[str]]:
    """Returns the operators above each scan of `leaf` in an explained plan, nearest first."""
    # Groups: the drawing of the tree (its length is the depth), and the operator.
    nodes = re.findall(r"^([ :]*(?:[+:]- )?)(?:\*\(\d+\) )?(\w.*)$", plan, re.MULTILINE)
    found = []
    for number, (drawn, text) in enumerate(nodes):
        if leaf not in text:
            continue
        operators, depth = [], len(drawn)
        for upper, operator in reversed(nodes[:number]):
            if len(upper) < depth:
                operators.append(operator)
                depth = len(upper)
        found.append(operators)
    return found


def test_operators_above_a_scan_are_found():
    plan = """== Physical Plan ==
*(3) Project [a#1]
+- *(3) BroadcastHashJoin [a#1], [b#2], Inner
   :- *(3) HashAggregate(keys=[a#1], functions=[count(1)])
   :  +- *(3) FileScan parquet staging.stg_checked_transactions[a#1]
   +- BroadcastExchange
      +- FileScan parquet staging.other[b#2]
"""
    found = operators_above(plan, "staging.stg_checked_transactions[")
    aggregate = "HashAggregate(keys=[a#1], functions=[count(1)])"
    assert found == [[aggregate, "BroadcastHashJoin [a#1], [b#2], Inner", "Project [a#1]"]]


def shuffles_before_group_by(plan: str) -> list[list[str]]:
    """Returns the shuffles between each scan of stg_checked_transactions and the first group-by."""
    # A group-by is one aggregate, or a partial one, a shuffle and a complete one. Without functions
    # these look alike, so neither is taken for complete.
    complete = re.compile(r"\w*Aggregate\(.* functions=\[(?!partial_|merge_|\])")
    return [
        [
            operator
            for operator in takewhile(lambda each: not complete.match(each), operators)
            if operator.startswith("Exchange")
        ]
        for operators in operators_above(plan, "staging.stg_checked_transactions[")
    ]


@on_data("generated")
class TestGenerated:
    def test_transactions_are_grouped_where_they_lie(self, server: dict[str, str], query: Query):
        """Spark shuffles nothing between the stored lines and the first group-by."""
        models = Path(server["DBT_TARGET_PATH"]).glob("compiled/*/models/**/*.sql")
        texts = {model.stem: model.read_text() for model in models}
        readers = [name for name, text in texts.items() if "intermediate.int_transactions" in text]
        assert "int_orders" in readers
        for model in readers:
            ((plan,),) = query(f"explain {texts[model]}")
            shuffles = shuffles_before_group_by(plan)
            assert shuffles, model
            assert not any(shuffles), model
        # Without the buckets the same look at the plan finds shuffles.
        query("set spark.sql.sources.bucketing.enabled = false")
        try:
            for model in readers:
                ((plan,),) = query(f"explain {texts[model]}")
                assert all(shuffles_before_group_by(plan)), model
        finally:
            query("reset spark.sql.sources.bucketing.enabled")

    def test_a_join_by_customer_and_date_shuffles_nothing(
        self, server: dict[str, str], query: Query
    ):
        target = Path(server["DBT_TARGET_PATH"])
        (model,) = target.glob("compiled/*/models/**/int_customer_rfm_by_date.sql")
        explain = f"explain {model.read_text()}"
        shuffle = "Exchange hashpartitioning"
        assert shuffle not in query(explain)[0][0]
        # With Spark's default the same look at the plan finds shuffles.
        query("set spark.sql.requireAllClusterKeysForCoPartition = true")
        try:
            assert shuffle in query(explain)[0][0]
        finally:
            query("reset spark.sql.requireAllClusterKeysForCoPartition")

    def test_no_task_alone_is_given_all_customers(self, server: dict[str, str], query: Query):
        ((customers,),) = query("select count(*) from marts.customers where orders > 0")
        stages = of_application(server, "stages?status=complete")
        assert len(stages) > 1000
        alone = [
            stage["description"]
            for stage in stages
            if stage["numCompleteTasks"] == 1 and stage["shuffleReadRecords"] >= customers
        ]
        # `cluster` reads a sample of fixed size, which includes all of these few customers.
        of_sample = ('user_id: "cluster"', "cluster: sample")
        assert not [each for each in alone if not any(words in each for words in of_sample)]

    def test_scores_of_all_months_take_one_pass_over_the_scoring_dates(
        self, server: dict[str, str], query: Query
    ):
        ((rfm_by_date,),) = query("select count(*) from intermediate.int_customer_rfm_by_date")
        queries = of_application(server, "sql?length=3000&details=false")
        # The UI lists a statement more than once, in any order. One of the entries has the jobs.
        building = r"/\* model int_rfm_ranks \*/\s+create"
        created = max(
            (
                each
                for each in queries
                if each["successJobIds"] and re.match(building, each["description"])
            ),
            key=lambda each: each["id"],
        )
        jobs = {job["jobId"]: job for job in of_application(server, "jobs")}
        stages = {stage for job in created["successJobIds"] for stage in jobs[job]["stageIds"]}
        complete = of_application(server, "stages?status=complete")
        read = sum(stage["inputRecords"] for stage in complete if stage["stageId"] in stages)
        assert rfm_by_date <= read < 2 * rfm_by_date

    def test_no_python_touches_the_transactions(self, server: dict[str, str]):
        queries = of_application(server, "sql?length=3000&details=false")
        python = [
            each
            for each in queries
            if re.search("EvalPython|InPandas|InArrow", each["planDescription"])
        ]
        # The predictions of ml/lifetime_value.py use Python.
        assert python
        assert not [each for each in python if "transactions" in each["planDescription"]]
