"""Says where the time of the last run went, from the event log that the Spark server writes.

    python -m server.profile_run

The last run is all since data were last brought in, by the step `generate` or `load`; without
either, all since the server started. The log may be that of a running server, or of one that was
killed in the middle of a line.
"""

import os
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import duckdb

from reports.summary import table

STATE = Path(os.environ.get("STATE_DIR") or ".spark")
MOST_STEPS = 15

# An operation is what a client asked for, and of one step: a statement over Thrift, named by the
# comment that dbt puts first or else by the user; or a request over Connect, named by the tag of
# ml/session.py. Jobs and stages say which operation they are of.
TABLES = r"""
create table event as
select regexp_extract(json ->> 'Event', '\w+$') as kind, json
from read_ndjson_objects(
    getvariable('files'), compression = 'zstd', ignore_errors = true,
    maximum_object_size = 134217728
)
where json is not null;

create macro operation_of(properties) as coalesce(
    nullif(regexp_extract(properties ->> 'spark.job.tags', 'SparkConnect_OperationTag[^,]*'), ''),
    properties ->> 'spark.jobGroup.id'
);

create table operation as
with started as (
    select
        json ->> 'id' as id,
        json ->> 'groupId' as operation,
        (json ->> 'startTime')::bigint as started_ms,
        coalesce(
            nullif(regexp_extract(json ->> 'statement', '^/\* (.+?) \*/', 1), ''),
            'SQL of ' || (json ->> 'userName')
        ) as step
    from event
    where kind = 'SparkListenerThriftServerOperationStart'
    union all
    select
        json ->> 'operationId',
        json ->> 'jobTag',
        (json ->> 'eventTime')::bigint,
        coalesce(json ->> '$.sparkSessionTags[0]', nullif(json ->> 'userId', ''), 'Spark Connect')
    from event
    where kind = 'SparkListenerConnectOperationStarted'
),

finished as (
    select
        coalesce(json ->> 'operationId', json ->> 'id') as id,
        min(coalesce(json ->> 'finishTime', json ->> 'closeTime', json ->> 'eventTime')::bigint)
            as finished_ms
    from event
    where regexp_matches(
        kind, '(ThriftServer|Connect)Operation(Finish(ed)?|Failed|Error|Canceled|Closed)$'
    )
    group by 1
)

select
    started.*,
    coalesce(finished_ms, max(greatest(started_ms, finished_ms)) over ()) as finished_ms
from started
left join finished using (id);

create table job as
select
    operation_of(started.json -> 'Properties') as operation,
    (started.json ->> 'Submission Time')::bigint as started_ms,
    (ended.json ->> 'Completion Time')::bigint as finished_ms
from event as started
left join event as ended
    on ended.kind = 'SparkListenerJobEnd' and started.json ->> 'Job ID' = ended.json ->> 'Job ID'
where started.kind = 'SparkListenerJobStart';

create table stage as
select
    (json ->> '$."Stage Info"."Stage ID"')::int as stage_id,
    (json ->> '$."Stage Info"."Stage Attempt ID"')::int as attempt,
    operation_of(json -> 'Properties') as operation
from event
where kind = 'SparkListenerStageSubmitted';

create table task as
select
    (json ->> 'Stage ID')::int as stage_id,
    (json ->> 'Stage Attempt ID')::int as attempt,
    (metrics ->> 'Executor Run Time')::bigint as run_ms,
    (metrics ->> 'JVM GC Time')::bigint as collection_ms,
    (metrics ->> '$."Shuffle Read Metrics"."Remote Bytes Read"')::bigint
    + (metrics ->> '$."Shuffle Read Metrics"."Local Bytes Read"')::bigint as shuffle_read,
    (metrics ->> '$."Shuffle Write Metrics"."Shuffle Bytes Written"')::bigint as shuffle_write,
    (metrics ->> 'Disk Bytes Spilled')::bigint as spilled,
    (metrics ->> '$."Input Metrics"."Records Read"')::bigint as rows_read,
    (metrics ->> '$."Output Metrics"."Records Written"')::bigint as rows_written
from (select kind, json, json -> 'Task Metrics' as metrics from event)
where kind = 'SparkListenerTaskEnd';

create table run as
select coalesce(max((json ->> 'eventTime')::bigint), 0) as since_ms
from event
where kind = 'SparkListenerConnectSessionStarted' and json ->> 'userId' in ('generate', 'load');

drop table event;
"""

# Steps run at the same time, and so do the operations of one: a moment counts once for each step,
# once for all of them, the step 'all', and once for all of their jobs, the step 'jobs'. Skew is
# that of the stage that would gain most if its longest task were as short as the others.
STEPS = """
with chosen as (
    select operation, unnest(['all', step]) as step, started_ms, finished_ms
    from operation
    where started_ms >= (select since_ms from run)
),

ordered as (
    select
        step,
        started_ms,
        finished_ms,
        max(finished_ms) over (
            partition by step order by started_ms, finished_ms
            rows between unbounded preceding and 1 preceding
        ) as covered_until_ms
    from (
        select step, started_ms, finished_ms from chosen
        union all
        select 'jobs', job.started_ms, coalesce(job.finished_ms, chosen.finished_ms)
        from job inner join chosen using (operation)
        where step = 'all'
    )
),

times as (
    select
        step,
        min(started_ms) as started_ms,
        max(finished_ms) as finished_ms,
        sum(greatest(0, finished_ms - greatest(started_ms, coalesce(covered_until_ms, 0)))) as ms
    from ordered
    group by step
),

jobs as (
    select step, count(*) as jobs
    from job inner join chosen using (operation)
    group by step
),

stages as (
    select
        step,
        count(*) as tasks,
        sum(run_ms) as run_ms,
        sum(collection_ms) as collection_ms,
        sum(shuffle_read) as shuffle_read,
        sum(shuffle_write) as shuffle_write,
        sum(spilled) as spilled,
        sum(rows_read) as rows_read,
        sum(rows_written) as rows_written,
        max(run_ms) - median(run_ms) as lost_ms,
        max(run_ms) / greatest(median(run_ms), 1) as skew
    from task
    inner join stage using (stage_id, attempt)
    inner join chosen using (operation)
    group by step, stage_id, attempt
)

select
    step,
    any_value(ms) / 1e3 as seconds,
    coalesce(any_value(jobs), 0) as jobs,
    coalesce(sum(tasks), 0) as tasks,
    coalesce(sum(run_ms), 0) / 1e3 as task_seconds,
    coalesce(sum(collection_ms), 0) / 1e3 as collection_seconds,
    coalesce(sum(shuffle_read), 0) as shuffle_read,
    coalesce(sum(shuffle_write), 0) as shuffle_write,
    coalesce(sum(spilled), 0) as spilled,
    coalesce(sum(rows_read), 0) as rows_read,
    coalesce(sum(rows_written), 0) as rows_written,
    max_by(skew, lost_ms) as skew,
    any_value(started_ms) / 1e3 as started,
    any_value(finished_ms) / 1e3 as finished
from times
left join jobs using (step)
left join stages using (step)
group by step
order by seconds desc, step
"""

HEADER = ("step", "seconds", "jobs", "tasks", "task s", "GC s", "shuffle read", "shuffle written")
HEADER += ("spilled", "rows read", "rows written", "skew")


class ProfileError(Exception):
    """Something the user can mend, said in one line."""


def last_log() -> list[str]:
    """The files of the newest event log; raises ProfileError when there is none."""
    logs = sorted((STATE / "events").glob("eventlog_v2_*"), key=lambda log: log.stat().st_mtime)
    files = [str(file) for log in logs[-1:] for file in log.glob("events_*")]
    if not files:
        raise ProfileError(f"there is no event log in {STATE / 'events'}; write one with: make run")
    return files


def read(files: list[str]) -> duckdb.DuckDBPyConnection:
    """Returns a database with the tables of TABLES, read from the files of one event log."""
    database = duckdb.connect()
    database.execute("set variable files = $files", {"files": files})
    database.execute(TABLES)
    return database


def short(number: float) -> str:
    """A number of rows or bytes in at most three digits before the unit, as in 12.3M."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return f"{number}" if number else "-"


def cells(row: tuple) -> tuple[str, ...]:
    """A row of STEPS as text."""
    step, seconds, jobs, tasks, task_seconds, collection_seconds, *sizes, skew, _, _ = row
    times = (f"{each:.1f}" for each in (task_seconds, collection_seconds))
    skew = f"{skew:.1f}" if skew else "-"
    return (step, f"{seconds:.1f}", f"{jobs}", f"{tasks}", *times, *map(short, sizes), skew)


def report(rows: list[tuple]) -> str:
    """The slowest steps as a table, and what was not work of the server, as text."""
    steps = {row[0]: row for row in rows}
    total, jobs = steps.pop("all"), steps.pop("jobs", ("jobs", 0.0))
    started, finished = (datetime.fromtimestamp(each, UTC) for each in total[-2:])
    whole = (finished - started).total_seconds()
    busy, in_jobs = total[1], jobs[1]
    shown = [HEADER, *map(cells, islice(steps.values(), MOST_STEPS)), cells(total)]
    return (
        f"{whole:.0f} s from {started:%Y-%m-%d %H:%M:%S} to {finished:%H:%M:%S} UTC: "
        f"{in_jobs:.0f} s in jobs, {busy - in_jobs:.0f} s of planning and catalog, "
        f"{whole - busy:.0f} s of clients alone (dbt, Python).\n\n"
        + table(shown, "<" + ">" * (len(HEADER) - 1))
        + f"\n\nThe {len(shown) - 2} slowest of {len(steps)} steps; steps run at the same time. "
        "Skew: longest task by median task,\nin the stage that loses most by it."
    )


def main() -> None:
    try:
        rows = read(last_log()).execute(STEPS).fetchall()
        if not rows:
            raise ProfileError("the server has not been asked for anything yet; try: make run")
    except ProfileError as error:
        sys.exit(f"error: {error}")
    print(report(rows))


if __name__ == "__main__":
    main()
