-- sqlfluff:dialect:duckdb
-- The last run by step, from the server's event log; server/profile_run.py prints the view `steps`.
--
-- An operation is one request of a client: a statement over Thrift, or a request over Connect. Its step is
-- the dbt node in the comment on top of the statement, or the user of any other statement, or the tag that
-- ml/session.py gives a request. Jobs and stages carry the id of their operation.

create table events as
select
    json,
    regexp_extract(json ->> 'Event', '\w+$') as kind,
    coalesce(
        nullif(
            regexp_extract(json ->> '$.Properties."spark.job.tags"', 'SparkConnect_OperationTag[^,]*'), ''
        ),
        json ->> '$.Properties."spark.jobGroup.id"'
    ) as operation
from
    read_ndjson_objects(
        getvariable('files'),
        compression = 'zstd',
        ignore_errors = true, -- the last line may be cut off
        maximum_object_size = 134217728
    )
where json is not null;

create table operations as
with started as (
    select
        json ->> 'id' as id,
        json ->> 'groupId' as operation,
        (json ->> 'startTime')::bigint as started_ms,
        coalesce(
            nullif(regexp_extract(json ->> 'statement', '^/\* (.+?) \*/', 1), ''),
            'SQL of ' || (json ->> 'userName')
        ) as step
    from events
    where kind = 'SparkListenerThriftServerOperationStart'
    union all
    select
        json ->> 'operationId' as id,
        json ->> 'jobTag' as operation,
        (json ->> 'eventTime')::bigint as started_ms,
        coalesce(
            json ->> '$.sparkSessionTags[0]',
            nullif(json ->> 'userId', ''),
            'Spark Connect'
        ) as step
    from events
    where kind = 'SparkListenerConnectOperationStarted'
),

finished as (
    select
        coalesce(json ->> 'operationId', json ->> 'id') as id,
        coalesce(json ->> 'finishTime', json ->> 'closeTime', json ->> 'eventTime')::bigint as finished_ms
    from events
    where regexp_matches(kind, '(ThriftServer|Connect)Operation(Finish(ed)?|Failed|Error|Canceled|Closed)$')
),

first_finished as (
    select
        id,
        min(finished_ms) as finished_ms
    from finished
    group by id
)

-- An operation without an end lasts until the end of the log.
select
    started.operation,
    started.step,
    started.started_ms,
    coalesce(
        first_finished.finished_ms,
        max(greatest(started.started_ms, first_finished.finished_ms)) over ()
    ) as finished_ms
from started
left join first_finished on started.id = first_finished.id;

create table jobs as
select
    started.operation,
    (started.json ->> 'Submission Time')::bigint as started_ms,
    (ended.json ->> 'Completion Time')::bigint as finished_ms
from events as started
left join events as ended
    on ended.kind = 'SparkListenerJobEnd' and started.json ->> 'Job ID' = ended.json ->> 'Job ID'
where started.kind = 'SparkListenerJobStart';

create table tasks as
with stages as (
    select
        operation,
        (json ->> '$."Stage Info"."Stage ID"')::int as stage_id,
        (json ->> '$."Stage Info"."Stage Attempt ID"')::int as attempt
    from events
    where kind = 'SparkListenerStageSubmitted'
),

ended as (
    select
        (json ->> 'Stage ID')::int as stage_id,
        (json ->> 'Stage Attempt ID')::int as attempt,
        json -> 'Task Metrics' as metrics
    from events
    where kind = 'SparkListenerTaskEnd'
)

select
    stages.operation,
    ended.stage_id,
    ended.attempt,
    (ended.metrics ->> 'Executor Run Time')::bigint as run_ms,
    (ended.metrics ->> 'JVM GC Time')::bigint as collection_ms,
    (ended.metrics ->> '$."Shuffle Read Metrics"."Remote Bytes Read"')::bigint
    + (ended.metrics ->> '$."Shuffle Read Metrics"."Local Bytes Read"')::bigint as shuffle_read,
    (ended.metrics ->> '$."Shuffle Write Metrics"."Shuffle Bytes Written"')::bigint as shuffle_write,
    (ended.metrics ->> 'Disk Bytes Spilled')::bigint as spilled,
    (ended.metrics ->> '$."Input Metrics"."Records Read"')::bigint as rows_read,
    (ended.metrics ->> '$."Output Metrics"."Records Written"')::bigint as rows_written
from ended
inner join stages on ended.stage_id = stages.stage_id and ended.attempt = stages.attempt;

create view steps as
with last_run as (
    select coalesce(max((json ->> 'eventTime')::bigint), 0) as started_ms
    from events
    where kind = 'SparkListenerConnectSessionStarted' and json ->> 'userId' in ('generate', 'load')
),

-- Each operation counts for its step, and for the step 'all'.
chosen as (
    select
        operation,
        unnest(['all', step]) as step,
        started_ms,
        finished_ms
    from operations
    where started_ms >= (select last_run.started_ms from last_run)
),

-- The step 'jobs' is the time in which any job ran.
spans as (
    select
        step,
        started_ms,
        finished_ms
    from chosen
    union all
    select
        'jobs' as step,
        jobs.started_ms,
        coalesce(jobs.finished_ms, chosen.finished_ms) as finished_ms
    from jobs
    inner join chosen on jobs.operation = chosen.operation
    where chosen.step = 'all'
),

-- Operations of one step overlap, but each moment must count only once.
ordered_spans as (
    select
        *,
        max(finished_ms) over (
            partition by step
            order by started_ms, finished_ms
            rows between unbounded preceding and 1 preceding
        ) as covered_until_ms
    from spans
),

times as (
    select
        step,
        min(started_ms) as started_ms,
        max(finished_ms) as finished_ms,
        sum(greatest(0, finished_ms - greatest(started_ms, coalesce(covered_until_ms, 0)))) as covered_ms
    from ordered_spans
    group by step
),

step_jobs as (
    select
        chosen.step,
        count(*) as jobs
    from jobs
    inner join chosen on jobs.operation = chosen.operation
    group by chosen.step
),

step_tasks as (
    select
        chosen.step,
        count(*) as tasks,
        sum(tasks.run_ms) / 1e3 as task_seconds,
        sum(tasks.collection_ms) / 1e3 as collection_seconds,
        sum(tasks.shuffle_read) as shuffle_read,
        sum(tasks.shuffle_write) as shuffle_write,
        sum(tasks.spilled) as spilled,
        sum(tasks.rows_read) as rows_read,
        sum(tasks.rows_written) as rows_written
    from tasks
    inner join chosen on tasks.operation = chosen.operation
    group by chosen.step
),

stage_skew as (
    select
        chosen.step,
        max(tasks.run_ms) - median(tasks.run_ms) as lost_ms,
        max(tasks.run_ms) / greatest(median(tasks.run_ms), 1) as skew
    from tasks
    inner join chosen on tasks.operation = chosen.operation
    group by chosen.step, tasks.stage_id, tasks.attempt
),

-- The skew of a step is the skew of the stage that loses most time to its longest task.
step_skew as (
    select
        step,
        max_by(skew, lost_ms) as skew
    from stage_skew
    group by step
)

select
    times.step,
    times.covered_ms / 1e3 as seconds,
    step_jobs.jobs,
    step_tasks.* exclude (step), -- noqa: RF02
    step_skew.skew,
    times.started_ms / 1e3 as started,
    times.finished_ms / 1e3 as finished
from times
left join step_jobs on times.step = step_jobs.step
left join step_tasks on times.step = step_tasks.step
left join step_skew on times.step = step_skew.step
order by times.covered_ms desc, times.step asc;
