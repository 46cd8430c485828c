-- The PostgreSQL exchange: outbox rows become queue rows, are leased, and are deleted when acknowledged.
-- `route` (a view) is the bindings, and exchange '' to each bound queue by its name.

-- name: declare
insert into binding (exchange, routing_key, queue, pattern)
select * from unnest(%(exchanges)s::text[], %(keys)s::text[], %(queues)s::text[], %(patterns)s::text[])
on conflict do nothing;

-- name: relay
-- Relaying is one statement: a frame is in the outbox or in every bound queue, never in neither. The limited ids
-- are locked in a CTE of their own: a subquery may be run again for each row, and lock the next ones every time.
with routes as materialized (
    select exchange, routing_key, queue, pattern from route
), picked as materialized (
    select o.id from outbox o
    where exists (select 1 from routes r
                  where r.exchange = o.exchange
                    and (r.routing_key = o.routing_key or case o.routing_key when '' then '' else o.routing_key || '.' end ~ r.pattern))
    order by o.id
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
    select pg_notify('gcc_queue', queue) from (select distinct queue from delivered) as queues
)
select (select count(*) from moved), (select array_agg(distinct queue) from delivered), (select count(*) from told);

-- name: unroutable
-- Nothing is locked: the object store is asked next, and may be slow. The statement that buries them fences itself.
select id, frame_id, exchange, routing_key, events, body, counted, created_at from outbox o
where not exists (select 1 from route r
                  where r.exchange = o.exchange and (r.routing_key = o.routing_key or case o.routing_key when '' then '' else o.routing_key || '.' end ~ r.pattern))
order by id
limit 500;

-- name: oldest
-- For a relay that publishes elsewhere: the rows stay until they are confirmed. The length of a body is known without
-- reading it.
select id, frame_id, exchange, routing_key, events, body, counted, created_at
from (select outbox.*, sum(octet_length(body)) over (order by id) as bytes
      from outbox
      where (exchange, routing_key) not in (select * from unnest(%(exchanges)s::text[], %(keys)s::text[]))
      order by id
      limit {frames_max}) as page
where bytes <= {bytes_max} or bytes = octet_length(body)
order by id;

-- name: pending
select 1 from outbox limit 1;

-- name: delete_outbox
delete from outbox where id = any(%(ids)s::bigint[]);

-- name: take
with picked as materialized (
    select id from queue_message
    where queue = %(queue)s and (lease_until is null or lease_until < now())
    order by id
    limit {limit}
    for update skip locked
)
update queue_message as message
set lease_until = now() + make_interval(secs => %(lease_s)s), deliveries = deliveries + 1
from picked
where message.id = picked.id
returning message.id, frame_id, exchange, routing_key, events, body, counted, deliveries,
          extract(epoch from now() - created_at)::float8;

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
select queue,
       coalesce(sum(events), 0)::bigint,
       coalesce(sum(events) filter (where lease_until > now()), 0)::bigint,
       coalesce(extract(epoch from now() - min(created_at)), 0)::float8
from (select distinct queue from binding) as bound left join queue_message using (queue)
group by queue
order by queue;

-- name: end_leases
-- Only where no other process can hold one: what a dead predecessor held is ready at once.
update queue_message set lease_until = null where lease_until is not null;
