-- {table}, {index} and so on are identifiers, quoted by the store.

-- name: columns
-- In the table's order, without those that it computes itself.
select attname::text from pg_attribute
where attrelid = to_regclass(%(table)s) and attnum > 0 and not attisdropped and attgenerated = ''
order by attnum;

-- name: key
select attname::text from pg_index
join pg_attribute on attrelid = indrelid and attnum = any(indkey)
where indrelid = to_regclass(%(table)s) and indisprimary
order by attnum;

-- name: views
-- Those that look at the table themselves: name and definition.
select distinct class.relname::text, pg_get_viewdef(class.oid)
from pg_depend
join pg_rewrite on pg_rewrite.oid = pg_depend.objid and pg_depend.classid = 'pg_rewrite'::regclass
join pg_class as class on class.oid = pg_rewrite.ev_class and class.relkind = 'v'
where pg_depend.refclassid = 'pg_class'::regclass and pg_depend.refobjid = to_regclass(%(table)s)
order by 1;

-- name: view
-- Its definition names the table, which is the fresh one now.
create or replace view {view} as {definition};

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
create table {new} (like {live} including defaults including constraints including generated);

-- name: create_lines
create temporary table synced_line (line json) on commit drop;

-- name: copy_lines
-- A line passes through whole: JSON text never holds the bytes that are named as delimiter and quote.
copy pg_temp.synced_line from stdin (format csv, delimiter e'\x01', quote e'\x02');

-- name: insert_lines
-- PostgreSQL turns JSON into the live table's columns and types, by name.
insert into {new} ({columns})
select {values} from pg_temp.synced_line, json_populate_record(null::{live}, line) as record;

-- name: upsert_lines
-- Answers how many rows are written, and how many of them are new.
with written as (
    insert into {live} ({columns})
    select {values} from pg_temp.synced_line, json_populate_record(null::{live}, line) as record
    on conflict ({keys}) do update set {changes}
    returning (xmax = 0) as is_new
)
select count(*), count(*) filter (where is_new) from written;

-- name: create_index
create {unique} index {index} on {new} {using};

-- name: add_constraint
alter table {new} add constraint {index} {kind} using index {index};

-- name: analyze
analyze {new};

-- name: mark
comment on table {new} is {run_id};

-- name: marked
select obj_description(to_regclass(%(new)s), 'pg_class');

-- name: counted
-- Rows, and in how many each column is known.
select count(*), {known} from {table};

-- name: counted_of_month
select count(*), {known} from {table} where {day} >= %(first)s and {day} < %(first)s + interval '1 month';

-- name: months
select date_trunc('month', {day})::date, count(*) from {live} group by 1;

-- name: delete_gone
-- What the fresh rows of a month do not have any more.
delete from {live} as live
where {day} >= %(first)s and {day} < %(first)s + interval '1 month'
  and not exists (select from {new} as fresh where ({fresh_keys}) = ({live_keys}));

-- name: write_changed
-- Answers how many rows are new.
with written as (
    insert into {live} as live ({columns})
    select {columns} from {new}
    on conflict ({keys}) do update set {changes} where ({live_columns}) is distinct from ({fresh_columns})
    returning (xmax = 0) as is_new
)
select count(*) filter (where is_new) from written;

-- name: size
-- Of a large table about how many.
select case when reltuples > 100000 then reltuples::bigint else (select count(*) from {live}) end
from pg_class where oid = to_regclass(%(table)s);

-- name: standing
select coalesce(snapshot.table_name, refusal.table_name) as table, snapshot.rows, snapshot.as_of, snapshot.built_at,
       refusal.why as refused, refusal.refused_at, refusal.accepted_by
from sync_snapshot as snapshot
full join sync_refusal as refusal on refusal.table_name = snapshot.table_name;

-- name: refuse
insert into sync_refusal (table_name, why, refused_at)
values (%(table)s, %(why)s, %(now)s)
on conflict (table_name) do update
set why = excluded.why, refused_at = excluded.refused_at, accepted_by = null, accepted_at = null;

-- name: accept
update sync_refusal set accepted_by = %(who)s, accepted_at = %(now)s where table_name = %(table)s;

-- name: done
-- What was refused is no more, and its acceptance is used up.
delete from sync_refusal where table_name = %(table)s;

-- name: swapped
select true from sync_snapshot where table_name = %(table)s and snapshot_id = %(snapshot_id)s;

-- name: lock
lock table {live} in access exclusive mode;

-- name: rename_table
alter table {table} rename to {new_name};

-- name: rename_index
alter index {index} rename to {new_name};

-- name: record_snapshot
-- `more`: rows beside those that were there; null where the snapshot has all of them.
insert into sync_snapshot (table_name, snapshot_id, term, rows, as_of, built_at)
values (%(table)s, %(snapshot_id)s, %(term)s, coalesce(%(more)s, %(rows)s), %(as_of)s, %(built_at)s)
on conflict (table_name) do update
set snapshot_id = excluded.snapshot_id, term = excluded.term, as_of = excluded.as_of, built_at = excluded.built_at,
    rows = coalesce(sync_snapshot.rows + %(more)s::bigint, excluded.rows);
