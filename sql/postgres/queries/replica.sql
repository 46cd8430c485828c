-- What replicas read of PostgreSQL, see gcc/stores/replicated_rows.py. {source}, {columns}, {key} and so on are composed
-- from declared tables (gcc/pipelines/analytics/replicas.py), {limit} and {bytes} are literals; `it` is a row of the source.

-- name: columns
select attname::text, format_type(atttypid, atttypmod) from pg_attribute
where attrelid = to_regclass(%(source)s) and attnum > 0 and not attisdropped
order by attnum;

-- name: index
-- The index by which a table is followed: whether it can be used.
select indisvalid from pg_index where indexrelid = to_regclass(%(index)s);

-- name: create_index
-- While others write. One that was cut short is there, and of no use.
create index concurrently {index} on {source} (updated_at, {key});

-- name: drop_index
drop index concurrently if exists {index};

-- name: horizon
-- From when on changes may be missing from what is read next: no open transaction began before `oldest`, none that has
-- written has an id before `xid`. A row's updated_at is the begin of its transaction.
select least(
           (select min(xact_start) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()
              and coalesce(backend_type, '') not in ('autovacuum worker', 'walsender', 'parallel worker')),
           clock_timestamp()
       ),
       pg_snapshot_xmin(pg_current_snapshot())::text::bigint & 4294967295;

-- name: page
-- Rows as lines of JSON, in order of updated_at and key, cut after {bytes}.
select updated_at, key, lines, page_rows
from (
    select place, updated_at, key, lines, count(*) over () as page_rows,
           sum(octet_length(lines)) over (order by place) - octet_length(lines) as bytes_before
    from (
        select it.updated_at, array[{key_texts}] as key, {lines} as lines,
               row_number() over (order by it.updated_at, {key}) as place
        from (
            select it.* from {source} as it
            where {where} and {after} and {unseen}
            order by it.updated_at, {key}
            limit {limit}
        ) as it
    ) as page
) as page
where coalesce(bytes_before, 0) < {bytes}
order by place;

-- name: after_key
(it.updated_at, {key}) > (%(updated_at)s, {key_values})

-- name: since
it.updated_at >= %(since)s

-- name: unseen
-- Not written by a transaction that had ended when the last round began: 32 bits of ids, which wrap around.
((it.xmin::text::bigint - %(seen)s) & 4294967295) < 2147483648

-- name: of_keys
select {lines} as lines from {source} as it
where {where} and ({key}) in (select * from unnest({key_arrays}));

-- name: buckets
-- By the first byte of the key's hash: how many rows, and the sum of their hashes.
select get_byte(decode(md5({key_text}), 'hex'), 0) as bucket, count(*),
       sum(('x' || left(md5({key_text} || e'\x1f' || {version}), 8))::bit(32)::bigint)
from {source} as it
where {where} and {alive}
group by bucket;

-- name: versions
select {key_text}, {version} from {source} as it
where {where} and {alive} and get_byte(decode(md5({key_text}), 'hex'), 0) = any(%(buckets)s);

-- name: purge
-- A batch of what people deleted long ago.
with picked as materialized (
    select ctid from {source} where deleted_at < now() - %(days)s * interval '1 day'
    limit {limit}
    for update skip locked
)
delete from {source} where ctid = any(array(select ctid from picked));

-- name: positions
select name, updated_at, key, floor from replica_position;

-- name: move
insert into replica_position (name, updated_at, key, floor)
values (%(name)s, %(updated_at)s, %(key)s, %(floor)s)
on conflict (name) do update set updated_at = excluded.updated_at, key = excluded.key, floor = excluded.floor;
