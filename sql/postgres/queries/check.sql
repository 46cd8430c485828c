-- What `check` counts. `emitted` is counted where it is committed.

-- name: ledger
-- One statement is one snapshot of the database: the parts belong together.
with job as materialized (
    select count(*) filter (where status = 'COMPLETE') as complete, coalesce(sum(events), 0) as events
    from scrape_request_log
), pruned as materialized (
    select coalesce(sum(jobs_complete), 0) as complete, coalesce(sum(events), 0) as events
    from counted_total where name in ('jobs_pruned', 'imports_pruned')
)
select
    (job.complete + pruned.complete)::bigint as jobs_complete,
    (job.events + pruned.events + (select coalesce(sum(events), 0) from import_ledger))::bigint as events_emitted,
    ((select coalesce(sum(emitted), 0) from dropped_partition where event_table = any(%(tables)s))
        + (select coalesce(sum(emitted), 0) from removed_rows where event_table = any(%(tables)s)))::bigint
        as events_dropped,
    (select coalesce(sum(coalesce(counted, events)), 0) from dead_letter where replayed_at is null
        and frame_id in (select frame_id from outbox)
        and (exchange, routing_key) in (select * from unnest(%(exchanges)s::text[], %(keys)s::text[])))::bigint as buried_and_pending,
    array(select event_table from dropped_partition where dropped_at is null order by event_table) as dropping,
    (select coalesce(sum(coalesce(counted, events)), 0) from dead_letter where replayed_at is null
        and (exchange, routing_key) in (select * from unnest(%(exchanges)s::text[], %(keys)s::text[])))::bigint as dead_lettered,
    (select coalesce(sum(coalesce(counted, events)), 0) from outbox
        where (exchange, routing_key) in (select * from unnest(%(exchanges)s::text[], %(keys)s::text[])))::bigint as outbox_pending,
    (select coalesce(sum(coalesce(counted, events)), 0) from queue_message where queue = any(%(queues)s))::bigint as queued,
    (select coalesce(sum(coalesce(counted, events)), 0) from queue_message
        where queue = any(%(queues)s) and lease_until > now())::bigint as in_flight
from job, pruned;

-- name: queue_bodies
-- The counted frames that wait in queues, a page at a time.
select id, queue, body from queue_message
where queue = any(%(queues)s) and counted is distinct from 0 and id > %(after)s
order by id
limit 200;

-- name: outbox_bodies
-- The same of those that a relay may have handed on to a broker already.
select id, place.queue, body
from outbox
join unnest(%(exchanges)s::text[], %(keys)s::text[], %(queue_of_each)s::text[]) as place (exchange, routing_key, queue)
    using (exchange, routing_key)
where counted is distinct from 0 and id > %(after)s
order by id
limit 200;

-- name: open_removals
-- Rows that were counted to be removed and may still be there, by their table.
select event_table, condition, parameters from removed_rows where removed_at is null;
