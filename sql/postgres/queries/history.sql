-- Imports of past snapshots, the profiles they bring, and the milestones of a first start.

-- name: remember_snapshots
-- Answers the ids that were new: an import that runs again emits nothing twice.
insert into imported_snapshot (event_id)
select unnest(%(ids)s::uuid[])
on conflict do nothing
returning event_id::text;

-- name: new_snapshots
-- As remember_snapshots, without doing it.
select asked.event_id::text
from unnest(%(ids)s::uuid[]) as asked (event_id)
where not exists (select from imported_snapshot i where i.event_id = asked.event_id);

-- name: ids_of_handles
-- Of profiles that were crawled under these handles; of several who had one, the one whose crawl was the last.
-- {named} is that of sql/postgres/queries/discovery.sql, of all platforms.
select asked.platform, asked.handle, known.profile_id
from unnest(%(platforms)s::text[], %(handles)s::text[]) as asked (platform, handle)
cross join lateral (
    {named}
    order by scraped_at desc
    limit 1
) as known;

-- name: ledger
insert into import_ledger (id, name, events) values (%(id)s, %(name)s, %(events)s);

-- name: track_imported
-- The past does not rename the present.
insert into tracked_profile (platform, profile_id, handle)
select distinct on (platform, profile_id) platform, profile_id, handle
from unnest(%(platforms)b::text[], %(profile_ids)b::text[], %(handles)b::text[]) as seen (platform, profile_id, handle)
order by platform, profile_id
on conflict do nothing;

-- name: milestone
select detail from milestone where name = %(name)s;

-- name: reach
insert into milestone (name, detail) values (%(name)s, %(detail)s) on conflict (name) do nothing;

-- name: fill
-- Remember who fills this database, once: the stand-in world, or the real APIs. Only the world brings a history at the
-- first start, which tells of folders of earlier versions.
insert into milestone (name, detail)
select 'filled_by', jsonb_build_object('world', %(world)s::boolean or exists (
    select from milestone where name = 'history_imported' and coalesce(detail ->> 'imported', '0') <> '0'
))
on conflict (name) do nothing;

-- name: ours
-- The condition {ours} of the statements below: jobs can be made of it. A longer name has no place in an index with the
-- rest of the job's key.
t.platform = any(%(platforms)s) and octet_length(t.profile_id) <= 1000 and octet_length(t.handle) <= 1000;

-- name: not_ours
-- Followed profiles of which no job can be made, by platform.
select t.platform, count(*), min(t.profile_id)
from tracked_profile t
where not ({ours})
group by t.platform
order by t.platform
limit 10;

-- name: never_crawled
-- Followed profiles of which no first crawl was enqueued yet.
select t.platform, t.profile_id, t.handle
from tracked_profile t
where {ours} and t.first_crawl_at is null
order by t.platform, t.profile_id
limit {limit};

-- name: first_crawl
-- How many of its jobs have ended, and how many there are or were.
select least(greatest(coalesce(sum(number) filter (where state not in ('PENDING', 'PROCESSING')), 0), -9e18), 9e18)::bigint,
       least(greatest(coalesce(sum(number), 0), -9e18), 9e18)::bigint
from tally
where counted in ('first job', 'pruned first job');

-- name: stale_profiles
-- Followed profiles whose state is missing or old, oldest first; those with a refresh waiting are left out.
select t.platform, t.profile_id, t.handle
from tracked_profile t
left join ({accounts}) a on a.platform = t.platform and a.profile_id = t.profile_id
where {ours} and coalesce(a.scraped_at, '-infinity') < now() - make_interval(secs => %(stale_s)s)
order by coalesce(a.scraped_at, '-infinity'), t.platform, t.profile_id
limit {limit};

-- name: idle
-- Nothing between the scrapers and the sinkers: no event waits to be stored.
select not exists (select 1 from outbox) and not exists (select 1 from queue_message);

-- name: followers_came
-- No crawl of followers waits or runs.
select not exists (
    select 1 from scrape_request_log where flow = 'fetch_profile_followers' and status in ('PENDING', 'PROCESSING')
);
