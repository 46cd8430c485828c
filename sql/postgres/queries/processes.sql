-- Who is there (see gcc/stores/processes.py).

-- name: beat
-- One process tells that it lives, and is told of the others. Those that were not heard of for long are forgotten.
with forgotten as (
    delete from process where seen_at < now() - make_interval(secs => %(forget_s)s) and id <> %(id)s
), told as (
    insert into process (id, host, pid, version, state, roles, drained, away, limits, settings, started_at, seen_at)
    values (%(id)s, %(host)s, %(pid)s, %(version)s, %(state)s, %(roles)s, %(drained)s, %(away)s, %(limits)s,
            %(settings)s, %(started_at)s, now())
    on conflict (id) do update
    set state = excluded.state, drained = excluded.drained, away = excluded.away, seen_at = excluded.seen_at
)
select id, host, pid, version, state, array_remove(roles, null) as roles, array_remove(drained, null) as drained,
       array_remove(away, null) as away, limits, settings, started_at,
       greatest(least(extract(epoch from now()) - extract(epoch from seen_at), 1e9), 0)::float8 as seen_s
from process
where id <> %(id)s and seen_at >= now() - make_interval(secs => %(forget_s)s)
order by started_at, id
limit 200;
