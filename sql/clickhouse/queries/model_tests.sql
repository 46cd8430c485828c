-- What generic tests of models ask and note, beside the rules of sql/dbt/macros/rules.sql.

-- name: create_model_test
-- One row a test of a run: of a build (what it has just made), or of a run of tests (all that stands).
create table if not exists dbt.model_test (
    run_id UUID,
    model LowCardinality(String),
    test LowCardinality(String),
    column String,
    at DateTime64(6, 'UTC'),
    ok Bool,
    severity LowCardinality(String),
    found UInt64,                     -- how many rows are wrong
    said String                       -- one of them
)
engine = MergeTree
order by (model, test, column, at)
ttl toDateTime(at) + interval 30 day;

-- name: create_model_month
-- What a frozen month said when it was first seen so, in which table (a whole build makes another).
create table if not exists dbt.model_month (
    model LowCardinality(String),
    table_id UUID,
    partition String,
    checksum UInt64,
    at DateTime64(6, 'UTC')
)
engine = MergeTree
order by (model, partition, at)
ttl toDateTime(at) + interval 800 day;

-- name: record_tests
-- {rows} are JSON lines.
insert into dbt.model_test (run_id, model, test, column, at, ok, severity, found, said)
select run_id, model, test, column, now64(6, 'UTC'), found = 0, severity, found, said
from format(
    JSONEachRow,
    'run_id UUID, model String, test String, column String, severity String, found UInt64, said String',
    {rows:String}
);

-- name: standing
-- The tables and views that stand.
select name from system.tables where database = 'dbt';

-- name: failing
-- What is wrong by the last look at it.
select test, column, said
from (
    select test, column, argMax(found, at) as found, argMax(severity, at) as severity, argMax(said, at) as said
    from dbt.model_test
    where model = {model:String}
    group by test, column
)
where found > 0 and severity = 'error'
order by test, column;

-- name: last_findings
-- What the last look at each test found, of one model or ('') of all, of those that were looked at since then. What is
-- noted there of ages and volumes is told from where it comes.
select
    looked.model as model, looked.test as test, looked.column as column,
    argMax(looked.severity, looked.at) as severity,
    argMax(looked.found, looked.at) as found,
    argMax(looked.said, looked.at) as said,
    max(looked.at) as looked_at
from dbt.model_test as looked
where ({model:String} = '' or looked.model = {model:String})
    and looked.at >= {since:DateTime64(6, 'UTC')}
    and looked.test not in ('freshness', 'volume')
group by looked.model, looked.test, looked.column
order by model, found = 0, severity, test, column;

-- name: frozen_months
-- Partitions of months that the last good build left frozen, with the sum that their rows have now. As a tuple: the hash
-- of arguments is null where one of them is.
select
    _partition_id as partition,
    sum(cityHash64(tuple(*))) as checksum,
    (select any(uuid) from system.tables where database = 'dbt' and name = '{name}') as table_id
from dbt.{name}
group by partition
having substring(concat(partition, '01'), 1, 8) < (
    select formatDateTime(toStartOfMonth(toDate(max(started_at), {{zone:String}}) - 2), '%Y%m%d')
    from dbt.model_run
    where model = '{name}' and error = '' and not backfilled
);

-- name: known_months
-- What they said when they were first seen frozen, since the last backfill.
select partition, table_id, argMin(checksum, at) as checksum
from dbt.model_month
where model = {model:String}
    and at > (select max(started_at) from dbt.model_run where model = {model:String} and backfilled)
group by partition, table_id;

-- name: record_months
-- {rows} are JSON lines.
insert into dbt.model_month (model, table_id, partition, checksum, at)
select model, table_id, partition, checksum, now64(6, 'UTC')
from format(JSONEachRow, 'model String, table_id UUID, partition String, checksum UInt64', {rows:String});
