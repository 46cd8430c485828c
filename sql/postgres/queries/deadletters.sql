-- Dead letters: buried once, looked at, replayed once.

-- name: bury
-- The letters of one object, in the order of their ids, so that two who bury the same ones wait for each other in turn.
-- A letter of another producer that was replayed waits again: the same message, without an id of its own, came again.
insert into dead_letter (id, queue, exchange, routing_key, frame_id, events, counted, reason, object_key, object_start,
                         object_bytes)
select letter.id, letter.queue, letter.exchange, letter.routing_key, letter.frame_id, letter.events, letter.counted,
       letter.reason, %(object_key)s, letter.start, letter.size
from unnest(%(ids)s::uuid[], %(queues)s::text[], %(exchanges)s::text[], %(keys)s::text[], %(frame_ids)s::uuid[],
            %(events)s::integer[], %(counted)s::integer[], %(reasons)s::text[], %(starts)s::bigint[], %(sizes)s::bigint[])
    as letter (id, queue, exchange, routing_key, frame_id, events, counted, reason, start, size)
order by letter.id
on conflict (id) do update
set replayed_at = null, replayed_by = null, reason = excluded.reason, object_key = excluded.object_key,
    object_start = excluded.object_start, object_bytes = excluded.object_bytes
where dead_letter.replayed_at is not null and dead_letter.counted = 0;

-- name: bury_outbox
-- The same for frames of the outbox, each of which leaves it here: it is in the outbox, or a letter, or (a binding came
-- meanwhile) in queues, and never two of these, however many relays there are. A frame that is in the outbox twice, since
-- its letter was replayed twice, is one letter here.
with held as materialized (
    select id from outbox where id = any(%(outbox_ids)s::bigint[]) order by id for update
), gone as (
    delete from outbox using held where outbox.id = held.id
    returning outbox.id
)
insert into dead_letter (id, queue, exchange, routing_key, frame_id, events, counted, reason, object_key, object_start,
                         object_bytes)
select distinct on (letter.id)
       letter.id, letter.queue, letter.exchange, letter.routing_key, letter.frame_id, letter.events, letter.counted,
       letter.reason, %(object_key)s, letter.start, letter.size
from unnest(%(ids)s::uuid[], %(queues)s::text[], %(exchanges)s::text[], %(keys)s::text[], %(frame_ids)s::uuid[],
            %(events)s::integer[], %(counted)s::integer[], %(reasons)s::text[], %(starts)s::bigint[], %(sizes)s::bigint[],
            %(outbox_ids)s::bigint[])
    as letter (id, queue, exchange, routing_key, frame_id, events, counted, reason, start, size, outbox_id)
join gone on gone.id = letter.outbox_id
order by letter.id
on conflict (id) do update
set replayed_at = null, replayed_by = null, reason = excluded.reason, object_key = excluded.object_key,
    object_start = excluded.object_start, object_bytes = excluded.object_bytes
where dead_letter.replayed_at is not null and dead_letter.counted = 0;

-- name: kept
-- Which of these have rows that stay as they are.
select id from dead_letter where id = any(%(ids)s::uuid[]) and (replayed_at is null or counted > 0);

-- name: matching
-- The condition {matching} of the statements below: what waits and is meant by a filter; null holds for every letter.
replayed_at is null
and (%(queue)s::text is null or queue = %(queue)s)
and (%(reason)s::text is null or strpos(lower(reason), lower(%(reason)s)) > 0)
and (%(since)s::timestamptz is null or created_at >= %(since)s)
and (%(ids)s::uuid[] is null or id = any(%(ids)s));

-- name: waiting
-- By queue and reason, the group of the newest letter first; the last two columns are the totals of all groups.
select queue, left(reason, 200) as reason, count(*), sum(events)::bigint, max(created_at) as newest,
       (sum(count(*)) over ())::bigint, (sum(sum(events)) over ())::bigint
from (select queue, reason, events, created_at from dead_letter
      where {matching}
      order by {order}
      limit {limit}) as letter
group by queue, left(reason, 200)
order by newest desc, queue, reason
limit 50;

-- name: find
select id, created_at as at, queue, exchange, routing_key, frame_id, events, reason, object_key, object_start,
       object_bytes, replayed_at, replayed_by
from dead_letter
where {matching}
order by created_at desc, id desc
limit {limit};

-- name: one
select id, created_at as at, queue, exchange, routing_key, frame_id, events, reason, object_key, object_start,
       object_bytes, replayed_at, replayed_by
from dead_letter
where id = %(id)s;

-- name: began
-- The time by the clock that times letters: what is buried later is no concern of a replay that begins now.
select now();

-- name: pick
-- What a replay looks at next, the oldest first.
select id, created_at as at, queue, exchange, routing_key, frame_id, events, reason, object_key, object_start,
       object_bytes, replayed_at, replayed_by
from dead_letter
where {matching} and (created_at, id) > (%(after_at)s, %(after_id)s) and created_at <= %(until)s
order by created_at, id
limit {limit};

-- name: replay
-- One statement, one transaction: a letter is replayed exactly if its frame is in the outbox. Of two people at once
-- the second waits for the first, and finds nothing left. Binary parameters, as in put_outbox.
with held as materialized (
    select id from dead_letter where id = any(%(ids)b::uuid[]) and replayed_at is null order by id for update
), replayed as (
    update dead_letter as letter set replayed_at = now(), replayed_by = %(who)s
    from held where letter.id = held.id
    returning letter.id, letter.events, letter.counted
), put as (
    insert into outbox (frame_id, exchange, routing_key, events, body, counted)
    select frame.frame_id, frame.exchange, frame.routing_key, frame.events, frame.body, replayed.counted
    from unnest(%(ids)b::uuid[], %(frame_ids)b::uuid[], %(exchanges)b::text[], %(keys)b::text[], %(events)b::integer[],
                %(bodies)b::bytea[])
        with ordinality as frame (id, frame_id, exchange, routing_key, events, body, place)
    join replayed on replayed.id = frame.id
    order by frame.place
)
select count(*), coalesce(sum(events), 0)::bigint from replayed;
