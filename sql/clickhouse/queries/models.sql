-- What the transformer runs. Names of tables are put in by the transformer, which has checked them.

-- name: create_database
create database if not exists dbt;

-- name: create_model_run
-- One row per build of a model: what is shown of models, and the watermarks of incremental ones.
create table if not exists dbt.model_run (
    run_id UUID,
    model LowCardinality(String),
    fingerprint String,
    started_at DateTime64(6, 'UTC'),  -- ClickHouse's clock: every row inserted before it was seen by the build
    seconds Float64,
    rows UInt64,
    error String,                     -- '' when it was built
    overhead_s Float64,               -- of the seconds, what was not the SELECT's
    peak_bytes UInt64,                -- of memory; 0: it took less time than a look
    backfilled Bool                   -- some asked-for months: no watermark, and none is frozen
)
engine = MergeTree
order by (model, started_at)
ttl toDateTime(started_at) + interval 90 day;

-- name: extend_model_run
-- What came later than the table.
alter table dbt.model_run
    add column if not exists overhead_s Float64,
    add column if not exists peak_bytes UInt64,
    add column if not exists backfilled Bool;

-- name: server_time
-- `end` is the first day after the last month that may have rows: events may be a day ahead. `months`: with how many events.
select
    toString(now64(6, 'UTC')) as now,
    toString(addMonths(toStartOfMonth(toDate(now() + interval 1 day, {zone:String})), 1)) as end,
    arraySort(groupArray((concat(substring(partition_id, 1, 4), '-', substring(partition_id, 5, 2), '-01'), events))) as months
from (
    select parts.partition_id as partition_id, sum(parts.rows) as events
    from system.parts as parts
    where parts.database = '_e' and parts.table in ('profile_log_events', 'post_log_events') and parts.active
    group by parts.partition_id
);

-- name: built
-- What stands in the database, with the fingerprint that its build left in the comment.
select name, comment as fingerprint from system.tables where database = 'dbt';

-- name: watermarks
-- Since when an incremental model has to look. The overlap covers inserts that were still running then.
-- `open_from` is the month that this build left open: on day 3 the month before is frozen.
select
    model,
    toString(max(started_at) - interval 5 minute) as watermark,
    toString(toStartOfMonth(toDate(max(started_at), {zone:String}) - 2)) as open_from,
    max(started_at) > now64(6, 'UTC') + interval 5 minute as ahead
from dbt.model_run
where error = '' and not backfilled
group by model;

-- name: forget_ahead
-- Builds of a time that is still to come: the clock has been set back.
alter table dbt.model_run delete where started_at > now64(6, 'UTC') settings mutations_sync = 1;

-- name: last_builds
-- Null is what no good build told.
select
    run.model as model,
    argMax(run.error, run.started_at) as error,
    argMaxOrNullIf(run.seconds, run.started_at, run.error = '') as seconds,
    argMaxOrNullIf(run.rows, run.started_at, run.error = '') as rows,
    argMaxOrNullIf(run.overhead_s, run.started_at, run.error = '') as overhead_s,
    argMaxOrNullIf(run.peak_bytes, run.started_at, run.error = '') as peak_bytes,
    maxOrNullIf(run.started_at, run.error = '' and not run.backfilled) as fresh_at
from dbt.model_run as run
group by run.model;

-- name: imported_months
-- Of past snapshots that came in by an import since then. Their origin says so.
select toString(min(day)) as first, toString(max(day)) as last, count() as rows
from (
    select toDate(event_timestamp, {zone:String}) as day
    from _e.profile_log_events
    where origin = 'import' and insert_timestamp >= {since:DateTime64(6, 'UTC')}
);

-- name: outdate
-- It stands, and is nothing to add rows to.
alter table dbt.{name} modify comment 'outdated';

-- name: create_view
create or replace view dbt.{name} as
{select}
comment '{fingerprint}';

-- name: drop
-- Of models that are no more, views or tables; and spares: what the last builds replaced, or left half-built. Queries
-- that read those have had a run's time to end.
drop table if exists {names};

-- name: create_table
-- It is not merged: see merge_again. Buffers of columns grow as they fill: sixty of them took more than a SELECT.
create table /* model {name} */ dbt.{name}__new
engine = {engine}
{partition_by}
order by ({unique_key})
settings max_bytes_to_merge_at_max_space_in_pool = 0, min_columns_to_activate_adaptive_write_buffer = 1, index_granularity = {granularity}
comment '{fingerprint}'
as
{select};

-- name: merge_again
alter table dbt.{name} reset setting max_bytes_to_merge_at_max_space_in_pool;

-- name: create_empty
-- In place of a model that is built later than one that reads it.
create table dbt.{name}
engine = {engine}
{partition_by}
order by ({unique_key})
empty as
{select};

-- name: create_like
create table dbt.{name}__new as dbt.{name};

-- name: fill_spare
insert into /* model {name} */ dbt.{name}__new
{select};

-- name: partitions
-- Of a model, and of its spare. By id, which is written in digits alone.
select distinct partition_id as partition, table != {name:String} as spare
from system.parts
where database = 'dbt' and table in ({name:String}, {name:String} || '__new') and active
order by partition;

-- name: replace_partition
replace partition id '{partition}' from dbt.{name}__new;

-- name: drop_partition
-- An empty one cannot be put in place of another.
drop partition id '{partition}';

-- name: alter
alter table dbt.{name} {changes};

-- name: put_in_place
-- The first build of a model.
rename table dbt.{name}__new to dbt.{name};

-- name: exchange
-- Atomic for readers. What stood before is kept as the spare until the next run.
exchange tables dbt.{name}__new and dbt.{name};

-- name: add_rows
insert into /* model {name} */ dbt.{name}
{select};

-- name: count_rows
select
    name,
    toUInt64(ifNull(total_rows, 0)) as rows,
    position(engine_full, 'max_bytes_to_merge_at_max_space_in_pool = 0') > 0 as is_held
from system.tables
where database = 'dbt' and name in {names:Array(String)};

-- name: peaks
-- Of the builds that run now.
select extract(query, '/\\* model (\\w+) \\*/') as model, max(peak_memory_usage) as peak_bytes
from system.processes
where model != ''
group by model;

-- name: record
-- {rows} are JSON lines.
insert into dbt.model_run
    (run_id, model, fingerprint, started_at, seconds, rows, error, overhead_s, peak_bytes, backfilled)
select
    built.run_id, built.model, built.fingerprint, built.started_at, built.seconds, ifNull(standing.total_rows, 0),
    built.error, built.overhead_s, built.peak_bytes, built.backfilled
from format(
    JSONEachRow,
    'run_id UUID, model String, fingerprint String, started_at String, seconds Float64, error String,
    overhead_s Float64, peak_bytes UInt64, backfilled Bool',
    {rows:String}
) as built
left join (select name, total_rows from system.tables where database = 'dbt') as standing on standing.name = built.model;
