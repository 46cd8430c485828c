-- The PostgreSQL exchange: outbox rows become queue rows, are leased, and are deleted when acknowledged.
-- `route` (a view) is the bindings, and exchange '' to each bound queue by its name. `outbox_route` (a view) is what the
-- outbox has rows of: each route's first rows are read for themselves, so that no backlog of another is walked. The
-- bounds of all three columns, and their order, leave the planner no other index. Ages end at 31 years, whatever a row
-- says of its time.

-- name: declare
insert into binding (exchange, routing_key, queue, pattern)
select * from unnest(%(exchanges)s::text[], %(keys)s::text[], %(queues)s::text[], %(patterns)s::text[])
on conflict do nothing;

-- name: unrelayed
-- Events in the outbox under these routes; of many, how many at least.
select coalesce(sum(first.events), 0)
from unnest(%(exchanges)s::text[], %(keys)s::text[]) as asked (exchange, routing_key)
cross join lateral (
    select o.events from outbox o
    where o.exchange = asked.exchange and o.routing_key = asked.routing_key
    limit 1000
) as first;

-- name: routing_keys
select distinct routing_key from binding where pattern is not null or routing_key ~ '[*#]';

-- name: mend_patterns
-- As `declare` writes them, whatever somebody has made of them.
update binding set pattern = meant.pattern
from unnest(%(keys)s::text[], %(patterns)s::text[]) as meant (key, pattern)
where binding.routing_key = meant.key and binding.pattern is distinct from meant.pattern;

-- name: relay
-- Relaying is one statement: a frame is in the outbox or in every bound queue, never in neither. The limited ids
-- are locked in a CTE of their own: a subquery may be run again for each row, and lock the next ones every time.
with routes as materialized (
    select exchange, routing_key, queue, pattern from route
), taken as materialized (
    select o.exchange, o.routing_key from outbox_route o
    where exists (select 1 from routes r
                  where r.exchange = o.exchange
                    and (r.routing_key = o.routing_key or case o.routing_key when '' then '' else o.routing_key || '.' end ~ r.pattern))
), picked as materialized (
    select id from outbox
    where id = any(array(
        -- twice the limit: another relay may have locked as many
        select first.id from taken t cross join lateral (
            select o.id from outbox o
            where (o.exchange, o.routing_key, o.id) >= (t.exchange, t.routing_key, 0)
              and (o.exchange, o.routing_key, o.id) <= (t.exchange, t.routing_key, 9223372036854775807)
            order by o.exchange, o.routing_key, o.id
            limit 1000) as first
        order by first.id
        limit 1000))
    order by id
    limit 500
    for update skip locked
), moved as (
    delete from outbox using picked where outbox.id = picked.id
    returning outbox.*
), delivered as (
    insert into queue_message (queue, frame_id, exchange, routing_key, events, body, counted, created_at)
    select q.queue, o.frame_id, o.exchange, o.routing_key, o.events, o.body, o.counted, o.created_at
    from moved o
    cross join lateral (select distinct r.queue from routes r
                        where r.exchange = o.exchange
                          and (r.routing_key = o.routing_key or case o.routing_key when '' then '' else o.routing_key || '.' end ~ r.pattern)) as q
    order by o.id
    returning queue
), told as (
    select pg_notify('gcc_queue', left(queue, 1000)) from (select distinct queue from delivered) as queues
)
select (select count(*) from moved), (select array_agg(distinct queue) from delivered), (select count(*) from told);

-- name: unroutable
-- Nothing is locked: the object store is asked next, and may be slow. The statement that buries them fences itself.
-- The length of a body is known without reading it.
with untaken as materialized (
    select o.exchange, o.routing_key from outbox_route o
    where not exists (select 1 from route r
                      where r.exchange = o.exchange and (r.routing_key = o.routing_key or case o.routing_key when '' then '' else o.routing_key || '.' end ~ r.pattern))
)
select id, frame_id, exchange, routing_key, events, body, counted, created_at
from (select outbox.*, sum(octet_length(body)) over (order by id) as bytes
      from outbox
      where id = any(array(
          select first.id from untaken u cross join lateral (
              select o.id from outbox o
              where (o.exchange, o.routing_key, o.id) >= (u.exchange, u.routing_key, 0)
                and (o.exchange, o.routing_key, o.id) <= (u.exchange, u.routing_key, 9223372036854775807)
              order by o.exchange, o.routing_key, o.id
              limit 500) as first
          order by first.id
          limit 500))) as page
where bytes <= {bytes_max} or bytes = octet_length(body)
order by id;

-- name: oldest
-- For a relay that publishes elsewhere: the rows stay until they are confirmed. The length of a body is known without
-- reading it. Route by route only if the first rows of all have too few of routes that do not rest: that costs more.
with first as materialized (
    select id, exchange, routing_key from outbox order by id limit 4 * {frames_max}
), near as materialized (
    select id from first
    where (exchange, routing_key) not in (select * from unnest(%(exchanges)s::text[], %(keys)s::text[]))
    order by id
    limit {frames_max}
)
select id, frame_id, exchange, routing_key, events, body, counted, created_at
from (select outbox.*, sum(octet_length(body)) over (order by id) as bytes
      from outbox
      where id = any(case
          when (select count(*) from near) = {frames_max} or (select count(*) from first) < 4 * {frames_max}
          then array(select id from near)
          else array(
              select ahead.id from outbox_route r cross join lateral (
                  select o.id from outbox o
                  where (o.exchange, o.routing_key, o.id) >= (r.exchange, r.routing_key, 0)
                    and (o.exchange, o.routing_key, o.id) <= (r.exchange, r.routing_key, 9223372036854775807)
                  order by o.exchange, o.routing_key, o.id
                  limit {frames_max}) as ahead
              where (r.exchange, r.routing_key) not in (select * from unnest(%(exchanges)s::text[], %(keys)s::text[]))
              order by ahead.id
              limit {frames_max})
          end)) as page
where bytes <= {bytes_max} or bytes = octet_length(body)
order by id;

-- name: pending
select id from outbox order by id limit 1;

-- name: delete_outbox
delete from outbox where id = any(%(ids)s::bigint[]);

-- name: take
-- As many as fit both bounds, or one. The length of a body is known without reading it.
with ready as materialized (
    select id, octet_length(body) as size from queue_message
    where queue = %(queue)s and (lease_until is null or lease_until < now())
    order by id
    limit {limit}
    for update skip locked
), picked as materialized (
    select id from (select id, size, sum(size) over (order by id) as bytes from ready) as page
    where bytes <= {bytes_max} or bytes = size
)
update queue_message as message
set lease_until = now() + make_interval(secs => %(lease_s)s), deliveries = least(deliveries, 2147483646) + 1
from picked
where message.id = picked.id
returning message.id, frame_id, exchange, routing_key, events, body, counted, deliveries,
          greatest(least(extract(epoch from now()) - extract(epoch from created_at), 1e9), 0)::float8;

-- name: acknowledge
delete from queue_message as message
using unnest(%(ids)s::bigint[], %(deliveries)s::integer[]) as done (id, deliveries)
where message.id = done.id and message.deliveries = done.deliveries;

-- name: give_back
update queue_message as message
set lease_until = null
from unnest(%(ids)s::bigint[], %(deliveries)s::integer[]) as held (id, deliveries)
where message.id = held.id and message.deliveries = held.deliveries;

-- name: depths
-- The depth is kept (table tally); the rest is seen in the first rows of each queue, since the oldest are taken first.
select queue, coalesce(depth.events, 0), head.leased,
       greatest(least(coalesce(extract(epoch from now()) - extract(epoch from head.oldest), 0), 1e9), 0)::float8
from (select distinct queue from binding) as bound
left join (select name as queue, least(greatest(sum(number), -9e18), 9e18)::bigint as events from tally where counted = 'queue' group by name) as depth
    using (queue)
cross join lateral queue_head(queue) as head
order by queue;

-- name: end_leases
-- Only where no other process can hold one: what a dead predecessor held is ready at once.
update queue_message set lease_until = null where lease_until is not null;
