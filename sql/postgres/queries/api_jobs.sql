-- Jobs of the API, as those who run them move them; see gcc/stores/api_jobs.py. One statement for each change of state. What
-- an attempt writes says which one it is, and writes nothing when that one is over.

-- name: claim
-- PENDING, due -> RUNNING: at most {room}, of these kinds. Partners take turns: of each the first to come is the next, the
-- partner with the fewest under way goes first, of these who was served longest ago.
with recursive partner (id) as (
    (select partner_id from api_job where state = 'PENDING' order by partner_id limit 1)
    union all
    select (select partner_id from api_job where state = 'PENDING' and partner_id > partner.id order by partner_id limit 1)
    from partner where id is not null
), next as (
    select job.id, served.at,
           job.nth + (select count(*) from api_job as held
                      where held.partner_id = partner.id and held.state = 'RUNNING') as turn
    from partner
    cross join lateral (
        select max(claimed_at) as at from api_job where partner_id = partner.id and claimed_at is not null
    ) as served
    cross join lateral (
        select id, row_number() over (order by created_at, id) as nth
        from api_job
        where partner_id = partner.id and state = 'PENDING' and due_at <= now() and kind = any(%(kinds)s)
        order by created_at, id
        limit {room}
    ) as job
), picked as materialized (
    select id from api_job
    where id = any(array(select id from next order by turn, at nulls first, id limit {room})) and state = 'PENDING'
    for update skip locked
)
update api_job as job
set state = 'RUNNING', attempt = attempt + 1, lease_until = now() + make_interval(secs => %(lease_s)s),
    started_at = coalesce(started_at, now()), claimed_at = clock_timestamp()
where job.id = any(array(select id from picked))
returning id, partner_id, account_id, user_id, role, plan, kind, params, attempt, failures, place, batches, made;

-- name: batch
-- What a batch did, in the transaction in which it did it. It is the one after so many `batches`: made again after a commit
-- whose answer was lost, it writes nothing. `anew`: what those before it left does not count.
update api_job
set place = %(place)s, made = %(made)s, batches = batches + 1,
    done = case when %(anew)s then 0 else done end + %(done)s,
    failed = case when %(anew)s then 0 else failed end + %(failed)s,
    total = coalesce(%(total)s, total),
    failures = 0, lost = 0
where partner_id = %(partner_id)s and id = %(id)s and attempt = %(attempt)s and state = 'RUNNING' and batches = %(batches)s
returning id;

-- name: drop_parts
delete from api_job_part where partner_id = %(partner_id)s and job_id = %(id)s;

-- name: part
insert into api_job_part (partner_id, job_id, stream, batch, lines)
values (%(partner_id)s, %(id)s, %(stream)s, %(batch)s, %(lines)s);

-- name: next_part
select batch, lines from api_job_part
where partner_id = %(partner_id)s and job_id = %(id)s and stream = %(stream)s and batch > %(after)s
order by batch limit 1;

-- name: complete
-- RUNNING -> COMPLETE.
update api_job
set state = 'COMPLETE', lease_until = null, ended_at = now(), result = %(result)s, object_key = %(object_key)s
where partner_id = %(partner_id)s and id = %(id)s and attempt = %(attempt)s and state = 'RUNNING'
returning id;

-- name: fail
-- RUNNING -> FAILED, or PENDING until its next try where `after_s` is given.
update api_job
set state = case when %(after_s)s::float8 is null then 'FAILED' else 'PENDING' end,
    lease_until = null,
    failures = failures + 1,
    due_at = now() + make_interval(secs => coalesce(%(after_s)s::float8, 0)),
    ended_at = case when %(after_s)s::float8 is null then now() end,
    result = %(result)s,
    traceback = %(traceback)s
where partner_id = %(partner_id)s and id = %(id)s and attempt = %(attempt)s and state = 'RUNNING'
returning id;

-- name: release
-- RUNNING -> PENDING, at no cost.
update api_job set state = 'PENDING', lease_until = null, due_at = now() + make_interval(secs => %(after_s)s)
where id = any(%(ids)s::uuid[]) and state = 'RUNNING'
  and (id, attempt) in (select * from unnest(%(ids)s::uuid[], %(attempts)s::integer[]));

-- name: extend
-- Heartbeat of one process; what it does not return is not ours any more. A batch holds its row for a
-- moment alone, as it commits.
with held as materialized (
    select job.id from api_job as job
    join unnest(%(ids)s::uuid[], %(attempts)s::integer[]) as held (id, attempt)
        on (job.id, job.attempt) = (held.id, held.attempt)
    where job.state = 'RUNNING'
    order by job.id
    for update of job
)
update api_job as job set lease_until = now() + make_interval(secs => %(lease_s)s)
from held where job.id = held.id
returning job.id;

-- name: rescue
-- RUNNING whose lease ended -> PENDING, or FAILED after it lost so many workers without one batch.
with picked as materialized (
    select id from api_job where state = 'RUNNING' and lease_until < now() limit {limit} for update skip locked
)
update api_job as job
set state = case when lost + 1 >= %(lost_max)s then 'FAILED' else 'PENDING' end,
    lost = lost + 1, lease_until = null,
    ended_at = case when lost + 1 >= %(lost_max)s then now() end,
    result = case when lost + 1 >= %(lost_max)s
                  then jsonb_build_object('code', 'WORKER_LOST', 'reason', format('lost its worker %%s times', lost + 1)) end
from picked where job.id = picked.id
returning job.id, job.partner_id, job.kind, job.state;

-- name: end_leases
update api_job set lease_until = now() - interval '1 second' where state = 'RUNNING';

-- name: due_to_be_freed
select id, partner_id from api_job
where ended_at < now() - make_interval(secs => %(kept_s)s) and freed_at is null
order by ended_at limit {limit};

-- name: freed
-- Their files are deleted. COMPLETE -> EXPIRED, where there was one.
with gone as (
    delete from api_job_part
    where (partner_id, job_id) in (select * from unnest(%(partner_ids)s::bigint[], %(ids)s::uuid[]))
)
update api_job
set freed_at = now(),
    state = case when object_key is not null then 'EXPIRED' else state end
where id = any(%(ids)s) and freed_at is null
returning id;
