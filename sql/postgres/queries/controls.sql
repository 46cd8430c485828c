-- Live overrides and the action log (see gcc/stores/controls.py).

-- name: read
select name, value::text from override;

-- name: set
insert into override (name, value, who, why, at) values (%(name)s, %(value)s, %(who)s, %(why)s, %(at)s)
on conflict (name) do update
set value = excluded.value, who = excluded.who, why = excluded.why, at = excluded.at;

-- name: remove
delete from override where name = %(name)s;

-- name: record
-- The second time, with the same id, it tells how the action ended.
insert into action (id, at, who, why, verb, target, things, detail)
values (%(id)s, %(at)s, %(who)s, %(why)s, %(verb)s, %(target)s, %(things)s, %(detail)s)
on conflict (id) do update set things = excluded.things, detail = excluded.detail;

-- name: actions
select id, at, who, why, verb, target, things, detail from action order by at desc, id desc limit %(limit)s;

-- name: notify
select pg_notify(%(channel)s, '');
