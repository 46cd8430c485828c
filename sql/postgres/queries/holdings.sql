-- What processes hold of a broker's queues.

-- name: tell
-- And forget who has not told for long.
with gone as (
    delete from queue_holding where at < clock_timestamp() - interval '1 hour' and process <> %(process)s
)
insert into queue_holding as holding (process, beat, at, queues, consumers, messages, received)
values (%(process)s, 1, clock_timestamp(), %(queues)s, %(consumers)s, %(messages)s, %(received)s)
on conflict (process) do update
set beat = holding.beat + 1, at = clock_timestamp(), queues = excluded.queues, consumers = excluded.consumers,
    messages = excluded.messages, received = excluded.received;

-- name: told
-- By those who are alive, by the database's clock.
select process, beat, held.queue, held.consumers, held.messages, held.received
from queue_holding, unnest(queues, consumers, messages, received) as held (queue, consumers, messages, received)
where at > clock_timestamp() - make_interval(secs => %(within_s)s)
order by process, held.queue;
