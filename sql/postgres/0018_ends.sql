-- What has ended ends: finished jobs, replayed letters, actions and runs are pruned by age (see
-- gcc/pipelines/analytics/pruning.py), so nothing may depend on their rows; and nothing that is shown each second is
-- counted over a table.

-- When its first crawl was enqueued, in the same transaction; null: not yet.
alter table tracked_profile add column first_crawl_at timestamptz;
update tracked_profile as t set first_crawl_at = j.at
from (select idempotency_key as key, min(created_at) as at from scrape_request_log
      where idempotency_key like 'first:%' group by 1) as j
where j.key = 'first:' || t.platform || ':' || t.profile_id;
create index tracked_profile_never_crawled on tracked_profile (platform, profile_id) where first_crawl_at is null;

-- Of what was pruned: how many were COMPLETE.
alter table counted_total add column jobs_complete bigint not null default 0;

create index scrape_request_log_ended on scrape_request_log (scraped_at)
    where status in ('COMPLETE', 'EXPIRED', 'CANCELLED');
create index scrape_request_log_failed on scrape_request_log (scraped_at) where status = 'FAILED';
create index dead_letter_replayed on dead_letter (replayed_at) where replayed_at is not null;
create index dead_letter_object on dead_letter (object_key);

-- How many there are of what: the sum of its rows, each of which says what one statement has changed. Rows are only
-- added, so nobody waits for another's; who reads many of them makes one of them (queries/counts.sql).
create table tally (
    counted text not null,                       -- 'job' | 'first job' (of the first crawl), 'pruned first job', 'queue'
    name text not null,                          -- the flow, the queue
    state text not null,                         -- the job's status
    number bigint not null                       -- jobs; of a queue: events
);
alter table tally set (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);

create function counted_as(idempotency_key text) returns text language sql immutable
return case when idempotency_key like 'first:%' then 'first job' else 'job' end;

-- For each statement once, whoever it is from.
create function tally_new_jobs() returns trigger language plpgsql as $$
begin
    insert into tally select counted_as(idempotency_key), flow, status, count(*) from come group by 1, 2, 3;
    return null;
end $$;

create function tally_moved_jobs() returns trigger language plpgsql as $$
begin
    insert into tally
    select counted_as(idempotency_key), flow, status, sum(number)
    from (select idempotency_key, flow, status, 1 as number from come
          union all
          select idempotency_key, flow, status, -1 from gone) as moved
    group by 1, 2, 3
    having sum(number) <> 0;
    return null;
end $$;

create function tally_gone_jobs() returns trigger language plpgsql as $$
begin
    insert into tally select counted_as(idempotency_key), flow, status, -count(*) from gone group by 1, 2, 3;
    return null;
end $$;

create trigger tally_inserted after insert on scrape_request_log
    referencing new table as come for each statement execute function tally_new_jobs();
create trigger tally_updated after update on scrape_request_log
    referencing old table as gone new table as come for each statement execute function tally_moved_jobs();
create trigger tally_deleted after delete on scrape_request_log
    referencing old table as gone for each statement execute function tally_gone_jobs();

-- Of queues only what comes and goes: a lease changes nothing of their depth.
create function tally_queued() returns trigger language plpgsql as $$
begin
    insert into tally select 'queue', queue, '', sum(events) from come group by queue;
    return null;
end $$;

create function tally_unqueued() returns trigger language plpgsql as $$
begin
    insert into tally select 'queue', queue, '', -sum(events) from gone group by queue;
    return null;
end $$;

create trigger tally_inserted after insert on queue_message
    referencing new table as come for each statement execute function tally_queued();
create trigger tally_deleted after delete on queue_message
    referencing old table as gone for each statement execute function tally_unqueued();

insert into tally select counted_as(idempotency_key), flow, status, count(*) from scrape_request_log group by 1, 2, 3;
insert into tally select 'queue', queue, '', sum(events) from queue_message group by queue;
