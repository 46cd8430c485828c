-- What the ClickHouse store itself runs. {engine} and {on_cluster} are put in by it; {name:Type} is bound by the server.

-- name: kill
-- By tag: a server knows it as the query's id, the embedded engine (which takes no ids) finds it in the text.
kill query where query_id = {tag:String} or position(query, {tag:String}) > 0 async;

-- name: create_ledger
-- Which migration files this database has seen.
create table if not exists gcc_schema_migration {on_cluster} (
    number UInt32,
    name String,
    checksum String,
    applied_at DateTime64(6, 'UTC') default now64(6, 'UTC')
)
engine = {engine}
order by number;

-- name: read_ledger
select number, name, checksum from gcc_schema_migration final order by number;

-- name: record
-- Written when every statement of the file has run.
insert into gcc_schema_migration (number, name, checksum)
select {number:UInt32}, {name:String}, {checksum:String};

-- name: tables_to_set_fsync
-- Event tables that do not do what the configuration says.
select name from system.tables
where database = '_e' and (position(engine_full, 'fsync_after_insert = 1') > 0) != {fsync:Bool};

-- name: set_fsync
alter table `_e`.`{name}` {on_cluster} modify setting fsync_after_insert = {fsync};
