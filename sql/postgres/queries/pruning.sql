-- What has ended and is old enough goes, a batch at a time (see gcc/pipelines/analytics/pruning.py). {limit} is a literal.

-- name: finished
-- The condition {ended} of `jobs`: as the index has it.
status in ('COMPLETE', 'EXPIRED', 'CANCELLED');

-- name: failed
-- Likewise.
status = 'FAILED';

-- name: jobs
-- Who retries one meanwhile has its lock: then it stays; or waits for ours, and finds it gone. Their counts are moved with
-- them, in one statement: `check` never sees less.
with picked as materialized (
    select id from scrape_request_log
    where {ended} and scraped_at < now() - make_interval(days => %(days)s)
    order by scraped_at
    limit {limit}
    for update skip locked
), gone as (
    delete from scrape_request_log as job where job.id = any(array(select id from picked))  -- by the key, as in `claim`
    returning job.status, job.events, counted_as(job.idempotency_key) as counted
), moved as (
    insert into counted_total (name, events, jobs_complete)
    select 'jobs_pruned', sum(events), count(*) filter (where status = 'COMPLETE') from gone
    having count(*) > 0
    on conflict (name) do update set events = counted_total.events + excluded.events,
                                     jobs_complete = counted_total.jobs_complete + excluded.jobs_complete
), told as (
    insert into tally select 'pruned first job', '', '', count(*) from gone where counted = 'first job' having count(*) > 0
)
select count(*) from gone;

-- name: due_letters
-- Replayed letters, and those of their objects in which no other letter stands.
with due as materialized (
    select id, object_key from dead_letter
    where replayed_at < now() - make_interval(days => %(days)s)
    order by replayed_at
    limit {limit}
)
select array(select id from due),
       array(select distinct object_key from due
             where not exists (select from dead_letter as other
                               where other.object_key = due.object_key and other.id not in (select id from due)));

-- name: letters
-- One that waits again meanwhile has another object, and stays.
with gone as (
    delete from dead_letter
    where id = any(%(ids)s) and replayed_at < now() - make_interval(days => %(days)s)
    returning id
)
select count(*) from gone;

-- name: actions
with picked as materialized (
    select id from action where at < now() - make_interval(days => %(days)s) order by at limit {limit}
), gone as (
    delete from action using picked where action.id = picked.id
    returning action.id
)
select count(*) from gone;

-- name: schedule_runs
-- The last run of each schedule stays: from that the next leader knows what was missed.
with picked as materialized (
    select id from schedule_run as run
    where started_at < now() - make_interval(days => %(days)s) and status <> 'RUNNING'
      and exists (select from schedule_run as later
                  where later.schedule = run.schedule and later.started_at > run.started_at)
    limit {limit}
), gone as (
    delete from schedule_run using picked where schedule_run.id = picked.id
    returning schedule_run.id
)
select count(*) from gone;

-- name: webhook_deliveries
-- What nobody has taken in all that time, too.
with picked as materialized (
    select id from webhook_delivery
    where created_at < now() - make_interval(days => %(days)s) and (lease_until is null or lease_until <= now())
    order by created_at
    limit {limit}
    for update skip locked
), gone as (
    delete from webhook_delivery using picked where webhook_delivery.id = picked.id
    returning webhook_delivery.id
)
select count(*) from gone;

-- name: idempotency_keys
-- A call that comes with one meanwhile has made it its own, and is not touched.
with picked as materialized (
    select scope from idempotency_key where expires_at <= now() order by expires_at limit {limit} for update skip locked
), gone as (
    delete from idempotency_key using picked where idempotency_key.scope = picked.scope
    returning idempotency_key.scope
)
select count(*) from gone;

-- name: api_jobs
-- Those whose files are gone.
with picked as materialized (
    select id from api_job
    where ended_at < now() - make_interval(days => %(days)s) and freed_at is not null
    order by ended_at
    limit {limit}
    for update skip locked
), gone as (
    delete from api_job using picked where api_job.id = picked.id
    returning api_job.id
)
select count(*) from gone;

-- name: usage_events
with gone as (
    delete from partner_usage_event
    where ctid = any(array(select ctid from partner_usage_event
                           where period < now() - make_interval(days => %(days)s)
                           order by period
                           limit {limit}))
    returning 1
)
select count(*) from gone;

-- name: recount
-- What the tally lacks of what is there, or has too much: somebody wrote past its triggers. One statement sees one moment,
-- and what it adds is right at any other, too.
insert into tally
select counted, name, state, least(greatest(sum(number), -9e18), 9e18)
from (select counted_as(idempotency_key) as counted, flow as name, status as state, count(*) as number
      from scrape_request_log group by 1, 2, 3
      union all
      select 'queue', queue, '', sum(events) from queue_message group by queue
      union all
      select counted, name, state, -sum(number) from tally where counted <> 'pruned first job' group by 1, 2, 3) as each
where exists (select from leader where name = %(leader)s and term = %(term)s and until > now())
group by 1, 2, 3
having sum(number) <> 0;
