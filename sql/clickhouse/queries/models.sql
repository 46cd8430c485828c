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
    error String                      -- '' when it was built
)
engine = MergeTree
order by (model, started_at)
ttl toDateTime(started_at) + interval 90 day;

-- name: server_time
select toString(now64(6, 'UTC')) as now;

-- name: built
-- What stands in the database, with the fingerprint that its build left in the comment.
select name, comment as fingerprint from system.tables where database = 'dbt';

-- name: watermarks
-- Since when an incremental model has to look. The overlap covers inserts that were still running then.
select model, toString(max(started_at) - interval 5 minute) as watermark
from dbt.model_run
where error = ''
group by model;

-- name: create_view
create or replace view dbt.{name} as
{select}
comment '{fingerprint}';

-- name: drop_spare
-- The table that the last build replaced, or left half-built. Queries that read it have had a run's time to end.
drop table if exists dbt.{name}__new;

-- name: create_table
-- In small blocks: a million rows at once (the default) would not fit into the embedded engine's memory.
create table dbt.{name}__new
engine = {engine}
order by ({unique_key})
comment '{fingerprint}'
as
{select}
settings min_insert_block_size_rows = 65536, min_insert_block_size_bytes = 0;

-- name: put_in_place
-- The first build of a model.
rename table dbt.{name}__new to dbt.{name};

-- name: exchange
-- Atomic for readers. What stood before is kept as the spare until the next run.
exchange tables dbt.{name}__new and dbt.{name};

-- name: add_rows
insert into dbt.{name}
{select}
settings min_insert_block_size_rows = 65536, min_insert_block_size_bytes = 0;

-- name: count_rows
select toUInt64(ifNull(total_rows, 0)) as rows from system.tables where database = 'dbt' and name = {name:String};
