-- {table}, {index} and so on are identifiers, quoted by the store.

-- name: columns
-- In the table's order.
select attname::text from pg_attribute
where attrelid = to_regclass(%(table)s) and attnum > 0 and not attisdropped
order by attnum;

-- name: indexes
-- Of the live table: name, definition, and the constraint's type (p, u) where it stands behind one.
select index.relname::text, pg_get_indexdef(index.oid), coalesce(constraints.contype::text, '')
from pg_index
join pg_class as index on index.oid = pg_index.indexrelid
left join pg_constraint as constraints on constraints.conindid = index.oid and constraints.contype in ('p', 'u')
where pg_index.indrelid = to_regclass(%(table)s)
order by index.relname;

-- name: lock_timeout
set local lock_timeout = '2s';

-- name: drop
drop table if exists {table};

-- name: create
-- Indexes come after the rows: that is faster than keeping them up to date.
create table {new} (like {live} including defaults including constraints);

-- name: create_lines
create temporary table synced_line (line json) on commit drop;

-- name: copy_lines
-- A line passes through whole: JSON text never holds the bytes that are named as delimiter and quote.
copy pg_temp.synced_line from stdin (format csv, delimiter e'\x01', quote e'\x02');

-- name: insert_lines
-- PostgreSQL turns JSON into the live table's columns and types, by name.
insert into {new} select record.* from pg_temp.synced_line, json_populate_record(null::{live}, line) as record;

-- name: create_index
create {unique} index {index} on {new} {using};

-- name: add_constraint
alter table {new} add constraint {index} {kind} using index {index};

-- name: analyze
analyze {new};

-- name: counts
select (select count(*) from {new}), (select count(*) from {live});

-- name: swapped
select true from sync_snapshot where table_name = %(table)s and snapshot_id = %(snapshot_id)s;

-- name: lock
lock table {live} in access exclusive mode;

-- name: rename_table
alter table {table} rename to {new_name};

-- name: rename_index
alter index {index} rename to {new_name};

-- name: record_snapshot
insert into sync_snapshot (table_name, snapshot_id, term, rows, as_of)
values (%(table)s, %(snapshot_id)s, %(term)s, %(rows)s, %(as_of)s)
on conflict (table_name) do update
set snapshot_id = excluded.snapshot_id, term = excluded.term, rows = excluded.rows, as_of = excluded.as_of;
