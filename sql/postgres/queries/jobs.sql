-- One statement for each change of a job's status; `seq` and `events` grow with every one of them,
-- because every one writes a status event into the outbox in the same transaction. No counter goes over its column's
-- bound: one such row would refuse the statement for all. What waits for the locks of several jobs takes them in order of
-- their keys, as `enqueue` must; what passes over locked ones may take them in any.

-- name: enqueue
-- A job that is waiting under the same key is not added again: it only gets more urgent, and waits as long as any who
-- wanted it would have it wait.
insert into scrape_request_log
    (id, idempotency_key, platform, flow, params, priority, due_at, expires_at, awaited, seq, events)
select id, key, platform, flow, params::jsonb, priority, now(), now() + make_interval(secs => ttl_s), awaited, 1, 1
from unnest(%(ids)s::uuid[], %(keys)s::text[], %(platforms)s::text[], %(flows)s::text[], %(params)s::text[],
            %(priorities)s::smallint[], %(ttls_s)s::float8[], %(awaited)s::boolean[])
     as job (id, key, platform, flow, params, priority, ttl_s, awaited)
order by key
on conflict (idempotency_key) where idempotency_key is not null and status in ('PENDING', 'PROCESSING')
do update set priority = greatest(scrape_request_log.priority, excluded.priority),
              awaited = scrape_request_log.awaited or excluded.awaited,
              expires_at = greatest(scrape_request_log.expires_at, excluded.expires_at),
              due_at = case when excluded.priority > scrape_request_log.priority then now()
                            else scrape_request_log.due_at end
returning id, flow, platform, params, priority, attempt, retry_count, seq, status, created_at, picked_at, expires_at,
          awaited, xmax = 0 as inserted, idempotency_key;

-- name: first_crawled
-- With the jobs that are enqueued for it, in one transaction.
update tracked_profile as t set first_crawl_at = now()
from unnest(%(platforms)s::text[], %(profile_ids)s::text[]) as asked (platform, profile_id)
where (t.platform, t.profile_id) = (asked.platform, asked.profile_id) and t.first_crawl_at is null;

-- name: due
-- What `claim` moves: of each flow that is asked for at most `room`, of `priority_min` or more. The `share` of it goes to
-- who is due the longest, whatever their priority, unless somebody waits for an answer ({urgent} or more); the rest to
-- the most urgent first, of these to who is due the longest. From one priority to the next lower one it leaps, so that of
-- each only what is due is read, and no more of that than is moved or might be the oldest: neither what waits for its
-- time nor what has ended costs anything. The oldest are looked for unlocked: what another claim has by then is passed
-- over.
-- {limit} is the largest room that there is, a small number and a literal: whatever the statistics say, the planner
-- follows the index then, and does not sort (with 1000 it does, where it expects some hundred jobs). What is asked for
-- stands in subqueries: a plan for one flow looks no better then than the one for any number, which is made but once
-- (planning took a third of a claim). {only} is true, or picks one job.
select due.id
from unnest((select %(flows)s::text[]), (select %(rooms)s::integer[]), (select %(shares)s::integer[]),
            (select %(priorities_min)s::smallint[])) as asked (flow, room, share, priority_min)
cross join lateral (
    with recursive level (priority) as (
        (select priority from scrape_request_log
         where flow = asked.flow and status = 'PENDING' and priority >= asked.priority_min
         order by priority desc limit 1)
        union all
        select (select priority from scrape_request_log
                where flow = asked.flow and status = 'PENDING' and priority >= asked.priority_min
                      and priority < level.priority
                order by priority desc limit 1)
        from level where priority is not null
    ), oldest as (
        select job.id
        from level cross join lateral (
            select id, due_at from scrape_request_log
            where flow = asked.flow and status = 'PENDING' and priority = level.priority
                  and due_at <= now() and expires_at > now() and {only}
            order by due_at, id
            limit {share_max}
        ) as job
        where asked.share > 0 and (select priority from level limit 1) < {urgent}
        order by job.due_at, job.id
        limit asked.share
    ), aged as materialized (
        select id from scrape_request_log
        where id = any(array(select id from oldest)) and status || '' = 'PENDING'  -- by its id, not by an index of these
        limit {limit}
        for update skip locked
    )
    select id from aged
    union all
    select job.id
    from level cross join lateral (
        select id from scrape_request_log
        where flow = asked.flow and status = 'PENDING' and priority = level.priority
              and due_at <= now() and expires_at > now() and {only} and id <> all(array(select id from aged))
        order by due_at, id
        limit {limit}
        for update skip locked
    ) as job
    limit asked.room
) as due

-- name: claim
-- SKIP LOCKED inside the CTE fences the update from touching more rows than the limit. Their ids come as an array: the
-- planner takes them for ten, and follows the key; joined, for so many that it reads the whole table.
with picked as materialized (
    {picked}
)
update scrape_request_log as job
set status = 'PROCESSING', attempt = least(attempt, 2147483646) + 1,
    seq = least(seq, 2147483646) + 1, events = least(events, 2147483646) + 1,
    picked_at = now(), lease_until = now() + make_interval(secs => %(lease_s)s)
where job.id = any(array(select id from picked))
returning job.id, flow, platform, params, priority, attempt, retry_count, seq, status, created_at, picked_at,
          expires_at, awaited;

-- name: complete
-- Of these attempts those that are still theirs.
with held as materialized (
    {held}
)
update scrape_request_log as job
set status = 'COMPLETE',
    seq = least(seq, 2147483646) + 1, events = least(events, 2147483647 - ended.new_events) + ended.new_events,
    lease_until = null, scraped_at = now(),
    source = ended.new_source, data = ended.new_data::jsonb
from unnest(%(ids)b::uuid[], %(attempts)b::integer[], %(events)b::integer[], %(sources)b::text[], %(data)b::text[])
     as ended (id, attempt, new_events, new_source, new_data)
where job.id = any(array(select id from held)) and (ended.id, ended.attempt) = (job.id, job.attempt)
returning job.id, job.attempt, seq, awaited;

-- name: fail
update scrape_request_log
set status = 'FAILED',
    seq = least(seq, 2147483646) + 1, events = least(events, 2147483646) + 1,
    lease_until = null, scraped_at = now(),
    retry_count = least(retry_count, 2147483646) + 1, data = %(data)s
where id = %(id)s and attempt = %(attempt)s and status = 'PROCESSING'
returning seq, awaited;

-- name: retry
-- After a failure: back to PENDING, later.
update scrape_request_log
set status = 'PENDING', seq = least(seq, 2147483646) + 1, events = least(events, 2147483646) + 1, lease_until = null,
    retry_count = least(retry_count, 2147483646) + 1, data = %(data)s,
    due_at = now() + make_interval(secs => %(after_s)s)
where id = %(id)s and attempt = %(attempt)s and status = 'PROCESSING'
returning seq, awaited;

-- name: held
-- The rows of {held}: those of these attempts that are still theirs. What has a lease is PROCESSING: said so, they are
-- found by their ids, and not by the index of leases, which holds all that has ended since it was vacuumed.
select job.id from scrape_request_log as job
join unnest(%(ids)b::uuid[], %(attempts)b::integer[]) as held (id, attempt) on (job.id, job.attempt) = (held.id, held.attempt)
where job.id = any(%(ids)b::uuid[]) and job.lease_until is not null
order by idempotency_key, job.id
for update of job;

-- name: release
-- Given back unbegun (to its place in the line), or refused by a limit and the like: costs no retry.
with held as materialized (
    {held}
)
update scrape_request_log as job
set status = 'PENDING', seq = least(seq, 2147483646) + 1, events = least(events, 2147483646) + 1, lease_until = null,
    due_at = case when %(after_s)s > 0 then now() + make_interval(secs => %(after_s)s) else least(due_at, now()) end,
    data = coalesce(%(data)s, data)
where job.id = any(array(select id from held))
returning job.id, flow, platform, params, priority, job.attempt, retry_count, seq, status, created_at, picked_at,
          expires_at, awaited;

-- name: extend
-- Heartbeat of one process; what it does not return is not ours any more.
with held as materialized (
    {held}
)
update scrape_request_log as job
set lease_until = now() + make_interval(secs => %(lease_s)s)
where job.id = any(array(select id from held))
returning job.id;

-- name: lapsed
-- What `rescue` moves. In the order of its index, as the next: whatever the statistics say, nothing else is read.
select id from scrape_request_log
where status = 'PROCESSING' and lease_until < now() and {only}
order by lease_until
limit {limit}
for update skip locked;

-- name: rescue
-- Expired leases are found and moved in one statement, the ids in a CTE as in `claim`. A job that keeps killing its
-- worker ends FAILED.
with picked as materialized (
    {picked}
)
update scrape_request_log as job
set status = case when lost + 1 >= %(lost_max)s then 'FAILED' else 'PENDING' end,
    scraped_at = case when lost + 1 >= %(lost_max)s then now() end,
    data = case when lost + 1 >= %(lost_max)s
                then jsonb_build_object('code', 'WORKER_LOST', 'reason', format('lost its worker %%s times', lost + 1)) end,
    lost = least(lost, 32766) + 1, due_at = least(due_at, now()),
    seq = least(seq, 2147483646) + 1, events = least(events, 2147483646) + 1,
    lease_until = null
from picked
where job.id = picked.id
returning job.id, flow, platform, params, priority, attempt, retry_count, seq, status, created_at, picked_at,
          expires_at, awaited;

-- name: overdue
-- What `expire` moves. The bound of infinity says nothing new: the index has it, so that no claim is planned over that one.
select id from scrape_request_log
where status = 'PENDING' and expires_at < now() and expires_at < 'infinity' and {only}
order by expires_at
limit {limit}
for update skip locked;

-- name: expire
-- The ids in a CTE, as in `claim`.
with picked as materialized (
    {picked}
)
update scrape_request_log as job
set status = 'EXPIRED', scraped_at = now(), seq = least(seq, 2147483646) + 1, events = least(events, 2147483646) + 1,
    data = jsonb_build_object('code', 'EXPIRED', 'reason', 'was not claimed before its expiry')
from picked
where job.id = picked.id
returning job.id, flow, platform, params, priority, attempt, retry_count, seq, status, created_at, picked_at,
          expires_at, awaited;

-- name: matching
-- The condition {matching} of the statements below: what people mean by a filter; null holds for every job.
status = any(%(statuses)s)
and (%(flow)s::text is null or flow = %(flow)s)
and (%(code)s::text is null or data ->> 'code' = %(code)s)
and (%(since)s::timestamptz is null or coalesce(scraped_at, created_at) >= %(since)s)
and (%(key)s::text is null or idempotency_key = %(key)s)
and (%(ids)s::uuid[] is null or id = any(%(ids)s));

-- name: count
select count(*) from (select from scrape_request_log where {matching} limit {limit}) as found;

-- name: find
select id, flow, platform, params, idempotency_key as key, status, priority, attempt, retry_count, created_at, due_at,
       scraped_at as ended_at, expires_at, data ->> 'code' as code, data ->> 'reason' as reason
from scrape_request_log
where {matching} and (%(before)s::uuid is null or id < %(before)s)
order by id desc
limit {limit};

-- name: search
-- As `find`, with a text: looked for in the newest {looked_max} that match, however many there are. Also the last of
-- those, fitting or not: where a further search goes on.
with looked as materialized (
    select id, strpos(lower(concat(params, ' ', idempotency_key)), lower(%(text)s)) > 0 as fits,
           row_number() over (order by id desc) as looked
    from scrape_request_log
    where {matching} and (%(before)s::uuid is null or id < %(before)s)
    order by id desc
    limit {looked_max}
), picked as (
    (select id, looked, true as fits from looked where fits order by id desc limit {limit})
    union all
    select id, looked, false from looked where looked = {looked_max}
)
select job.id, flow, platform, params, idempotency_key as key, status, priority, attempt, retry_count, created_at, due_at,
       scraped_at as ended_at, expires_at, data ->> 'code' as code, data ->> 'reason' as reason, looked, fits
from picked
join scrape_request_log as job using (id)
order by job.id desc;

-- name: look
-- One job, whole.
select id, flow, platform, params, idempotency_key as key, status, priority, attempt, retry_count, created_at, due_at,
       scraped_at as ended_at, expires_at, data ->> 'code' as code, data ->> 'reason' as reason,
       picked_at, lease_until, source, seq, lost, events, awaited, data
from scrape_request_log
where id = %(id)s;

-- name: unfinished
select idempotency_key from scrape_request_log
where idempotency_key = any(%(keys)s) and status in ('PENDING', 'PROCESSING');

-- name: pick
-- The next jobs, in order of id, that a person's change may move, and whether it still may: then they are locked for it.
with page as materialized (
    select id from scrape_request_log
    where id > %(after)s and {matching}
    order by id
    limit {limit}
), locked as materialized (
    select id from scrape_request_log
    where id = any(array(select id from page)) and {matching}
    order by idempotency_key, id
    for update
)
select id, id in (select id from locked) as locked from page order by id;

-- name: begin_anew
-- Picked jobs back to PENDING by hand, one of each key, and none of a key that an unfinished job has. It counts
-- as created now: the time to live is kept that way, and the id still tells when it came.
-- A life from or to a time beyond all calendars is cut to one that can be added to now.
update scrape_request_log as job
set status = 'PENDING',
    seq = least(seq, 2147483646) + 1, events = least(events, 2147483646) + 1,
    retry_count = 0, lost = 0, source = null, data = null,
    scraped_at = null, due_at = now(), created_at = now(),
    expires_at = now() + (least(greatest(expires_at, '1500-01-01'), '3500-01-01')
                          - least(greatest(created_at, '1500-01-01'), '3500-01-01'))
where id in (select distinct on (coalesce(idempotency_key, id::text)) id
             from scrape_request_log
             where id = any(%(ids)s)
             order by coalesce(idempotency_key, id::text), id)
  and not exists (select from scrape_request_log as other
                  where other.idempotency_key = job.idempotency_key and other.status in ('PENDING', 'PROCESSING'))
returning id, flow, platform, params, priority, attempt, retry_count, seq, status, created_at, picked_at, expires_at,
          awaited;

-- name: cancel
-- Picked jobs end by hand; the attempt of one that is PROCESSING has lost its lease.
update scrape_request_log
set status = 'CANCELLED',
    seq = least(seq, 2147483646) + 1, events = least(events, 2147483646) + 1,
    lease_until = null, scraped_at = now(),
    data = jsonb_build_object('code', 'CANCELLED', 'reason', 'cancelled by hand')
where id = any(%(ids)s)
returning id, flow, platform, params, priority, attempt, retry_count, seq, status, created_at, picked_at, expires_at,
          awaited;

-- name: give_up
-- A job that cannot be moved ends, without an event: what would tell of it may be what cannot be written.
update scrape_request_log
set status = 'FAILED', lease_until = null, scraped_at = now(), data = %(data)s
where id = %(id)s and status in ('PENDING', 'PROCESSING');

-- name: status
select status, data, extract(epoch from due_at - now())::float8, retry_count from scrape_request_log where id = %(id)s;

-- name: put_outbox
-- Binary parameters: as text each body would be escaped byte by byte.
insert into outbox (frame_id, exchange, routing_key, events, body, counted)
select * from unnest(%(ids)b::uuid[], %(exchanges)b::text[], %(keys)b::text[], %(frame_events)b::integer[], %(bodies)b::bytea[],
                     %(counted)b::integer[]);

-- name: notify
select pg_notify(%(channel)s, payload) from unnest(%(payloads)s::text[]) as payload;

-- name: end_leases
-- Only where no other process can hold one: what a dead predecessor held is rescued at once.
update scrape_request_log set lease_until = now() - interval '1 second' where status = 'PROCESSING';
