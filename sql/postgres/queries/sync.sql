-- {table}, {index} and so on are identifiers, quoted by the store.

-- name: columns
-- In the table's order, without those that it computes itself; and their types.
select attname::text, format_type(atttypid, null) from pg_attribute
where attrelid = to_regclass(%(table)s) and attnum > 0 and not attisdropped and attgenerated = ''
order by attnum;

-- name: key
select attname::text from pg_index
join pg_attribute on attrelid = indrelid and attnum = any(indkey)
where indrelid = to_regclass(%(table)s) and indisprimary
order by attnum;

-- name: views
-- Those that look at the table themselves: schema, name, options and definition.
select distinct namespace.nspname::text, class.relname::text, coalesce(array_to_string(class.reloptions, ', '), ''),
       pg_get_viewdef(class.oid)
from pg_depend
join pg_rewrite on pg_rewrite.oid = pg_depend.objid and pg_depend.classid = 'pg_rewrite'::regclass
join pg_class as class on class.oid = pg_rewrite.ev_class and class.relkind = 'v'
join pg_namespace as namespace on namespace.oid = class.relnamespace
where pg_depend.refclassid = 'pg_class'::regclass and pg_depend.refobjid = to_regclass(%(table)s)
order by 1, 2;

-- name: view
-- Its definition names the table, which is the fresh one now.
create or replace view {view} {options} as {definition};

-- name: left_behind
-- What is built on the table and no statement of ours gives to another one: materialized views, functions, others' foreign
-- keys, and views of roles that we are not of.
select distinct case when class.oid is null then pg_describe_object(pg_depend.classid, pg_depend.objid, 0)
                     else pg_describe_object('pg_class'::regclass, class.oid, 0) end
from pg_depend
left join pg_rewrite on pg_rewrite.oid = pg_depend.objid and pg_depend.classid = 'pg_rewrite'::regclass
left join pg_class as class on class.oid = pg_rewrite.ev_class
left join pg_constraint as of_key on of_key.oid = pg_depend.objid and pg_depend.classid = 'pg_constraint'::regclass
where pg_depend.refclassid = 'pg_class'::regclass and pg_depend.refobjid = to_regclass(%(table)s)
  and (class.relkind <> 'v' or not pg_has_role(class.relowner, 'usage') or pg_depend.classid = 'pg_proc'::regclass or of_key.conrelid <> pg_depend.refobjid)
order by 1;

-- name: belongings
-- What people gave the table beside columns, checks and indexes: the statements that give it to the one that is called so
-- next. Of what new tables are given by default it has what it had.
with live as (
    select oid, relname as name, relowner, relacl, relrowsecurity, relforcerowsecurity, reloptions, grantees.*
    from pg_class
    cross join lateral (
        select string_agg(distinct case given.grantee when 0 then 'public' else given.grantee::regrole::text end, ', ')
            as by_default
        from pg_class as fresh, aclexplode(fresh.relacl) as given
        where fresh.oid = to_regclass(%(new)s) and given.grantee <> fresh.relowner
    ) as grantees
    where oid = to_regclass(%(table)s)
)
select statement
from (
    select 1 as place, format('revoke all on %%I from %%s', name, by_default) as statement from live where by_default <> ''
    union all
    select 2, format('grant %%s on %%I to %%s%%s', privilege_type, name,
                     case grantee when 0 then 'public' else grantee::regrole::text end,
                     case when is_grantable then ' with grant option' else '' end)
    from live, aclexplode(relacl) where grantee <> relowner
    union all
    select 2, format('grant %%s (%%I) on %%I to %%s%%s', privilege_type, attname, name,
                     case grantee when 0 then 'public' else grantee::regrole::text end,
                     case when is_grantable then ' with grant option' else '' end)
    from live join pg_attribute on attrelid = live.oid and not attisdropped, aclexplode(attacl)
    union all
    select 3, format('alter table %%I add constraint %%I %%s', name, conname, pg_get_constraintdef(pg_constraint.oid))
    from live join pg_constraint on conrelid = live.oid and contype = 'f'
    union all
    select 3, pg_get_triggerdef(pg_trigger.oid) from live join pg_trigger on tgrelid = live.oid and not tgisinternal
    union all
    select 4, format('alter table %%I %%s trigger %%I', name,
                     case tgenabled when 'D' then 'disable' when 'R' then 'enable replica' else 'enable always' end, tgname)
    from live join pg_trigger on tgrelid = live.oid and not tgisinternal and tgenabled <> 'O'
    union all
    select 3, format('create policy %%I on %%I as %%s for %%s to %%s%%s%%s', polname, name,
                     case when polpermissive then 'permissive' else 'restrictive' end,
                     case polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                                 when 'd' then 'delete' else 'all' end,
                     (select string_agg(case who when 0 then 'public' else who::regrole::text end, ', ') from unnest(polroles) as who),
                     ' using (' || pg_get_expr(polqual, polrelid) || ')',
                     ' with check (' || pg_get_expr(polwithcheck, polrelid) || ')')
    from live join pg_policy on polrelid = live.oid
    union all
    select 4, format('alter table %%I enable row level security', name) from live where relrowsecurity
    union all
    select 4, format('alter table %%I force row level security', name) from live where relforcerowsecurity
    union all
    select 4, format('alter table %%I set (%%s)', name, array_to_string(reloptions, ', ')) from live where reloptions <> '{}'
    union all
    select 4, format('comment on table %%I is %%L', name, obj_description(live.oid, 'pg_class'))
    from live left join sync_snapshot on table_name = name::text
    where obj_description(live.oid, 'pg_class') is distinct from snapshot_id::text
    union all
    select 5, format('alter table %%I owner to %%s', name, relowner::regrole) from live
) as given
order by place, statement;

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
create table {new} (like {live} including all excluding indexes);

-- name: copy_fresh
-- Nobody has seen the table: its rows need not be looked at again later to see that they are old.
copy {new} ({columns}) from stdin (format text, freeze);

-- name: create_changed
create temporary table synced_row on commit drop as select {columns} from {live} with no data;

-- name: copy_changed
copy pg_temp.synced_row ({columns}) from stdin (format text);

-- name: upsert_changed
-- Answers how many rows are written, and how many of them are new.
with written as (
    insert into {live} ({columns})
    select {columns} from pg_temp.synced_row
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
