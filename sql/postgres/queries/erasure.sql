-- Profiles that are forgotten, see gcc/stores/erasures.py. {table}, {where}, {accounts} and {living} are composed from
-- declared tables, {names} is the statement names, {limit} is a literal.

-- name: named
-- Who is, or was, known by this name, or has one of these ids; of an id all names that are known.
select profile_id, array_agg(distinct handle) filter (where handle is not null) from ({accounts}) as known
where platform = %(platform)s and (profile_id = any(%(ids)s) or lower(handle) = lower(%(name)s))
group by profile_id;

-- name: erase
-- By all of its ids: a source may tell of it by one of them.
insert into erased_profile (platform, profile_id, names, who, why)
select %(platform)s, id, %(names)s, %(who)s, %(why)s from unnest(%(ids)s::text[]) as id
on conflict (platform, profile_id) do update
set names = array(select distinct unnest(erased_profile.names || excluded.names)), who = excluded.who, why = excluded.why,
    requested_at = now(), erased_at = null;

-- name: erased
select platform, profile_id, names, who, why, requested_at, erased_at from erased_profile order by requested_at desc, profile_id;

-- name: names
-- Those of a profile that was forgotten once and that another one has by now are its names no longer.
array(
    select name from unnest(names) as name
    where erased_at is null or not exists (
        select from ({living}) as living
        where living.platform = erased_profile.platform
          and lower(living.handle) = lower(name)
          and not exists (select from erased_profile as other
                          where other.platform = living.platform and other.profile_id = living.profile_id)
    )
);

-- name: of
select profile_id, {names}, false from erased_profile where platform = %(platform)s;

-- name: due
-- Those of whom something may have come since they were last looked for: the new ones, or all. Sheets are looked through at first, and
-- once more for what was made meanwhile.
select platform, profile_id, {names}, erased_at is null or (%(every)s and requested_at > now() - interval '2 days')
from erased_profile
where %(every)s or erased_at is null or requested_at > now() - interval '2 days'
order by platform, profile_id;

-- name: gone
update erased_profile set erased_at = coalesce(erased_at, now())
where platform = %(platform)s and profile_id = any(%(ids)s);

-- name: forget
-- A batch of the rows in which they stand. Of a table that has partitions each has its own ctids.
with picked as materialized (
    select tableoid, ctid from {table} where {where}
    limit {limit}
    for update skip locked
)
delete from {table}
where ctid = any(array(select ctid from picked)) and (tableoid, ctid) in (select tableoid, ctid from picked);

-- name: forget_credentials
-- Their own tokens, and what was asked in their name.
with gone as (delete from hashtag_query where account = any(%(ids)s))
delete from credential where account = any(%(ids)s);

-- name: forget_answers
-- What is kept for calls that are sent again, and tells of them: the key stays, so that nothing is done twice, its answer goes.
update idempotency_key set body = '', location = null
where exists (select from unnest(%(marks)s::text[]) as mark where strpos(lower(convert_from(body, 'UTF8')), mark) > 0);

-- name: forget_noted
-- What was done stays noted, to whom it was done does not.
update activity_tracker
set metadata = case jsonb_typeof(metadata) when 'object' then metadata - %(keys)s::text[] else '{}' end,
    thing_id = case when thing_id = any(%(ids)s) then null else thing_id end
where coalesce(upper(metadata ->> 'platform'), %(platform)s) = %(platform)s
  and (thing_id = any(%(ids)s)
       or exists (select from jsonb_each_text(case jsonb_typeof(metadata) when 'object' then metadata else '{}' end) as noted
                  where (key = any(%(identified_by)s) and value = any(%(ids)s))
                     or (key = any(%(named_by)s) and lower(value) = any(%(names)s))));

-- name: jobs
-- A batch of the jobs that name them, alone or in a list, in the params that name profiles, with what `check` counts of them; an attempt that is under way has
-- lost its job. Answers their ids: objects are called after them.
with picked as materialized (
    select id from scrape_request_log
    where platform = %(platform)s
      and exists (select from jsonb_each(case jsonb_typeof(params) when 'object' then params else '{}' end) as param,
                              jsonb_array_elements_text(case jsonb_typeof(param.value) when 'array' then param.value
                                                                                       else jsonb_build_array(param.value) end) as word
                  where (param.key = any(%(named_by)s) and lower(word) = any(%(names)s))
                     or (param.key = any(%(identified_by)s) and word = any(%(ids)s)))
    limit {limit}
    for update skip locked
), gone as (
    delete from scrape_request_log as job where job.id = any(array(select id from picked))
    returning job.id, job.status, job.events, counted_as(job.idempotency_key) as counted
), moved as (
    insert into counted_total (name, events, jobs_complete)
    select 'jobs_pruned', sum(events), count(*) filter (where status = 'COMPLETE') from gone
    having count(*) > 0
    on conflict (name) do update set events = counted_total.events + excluded.events,
                                     jobs_complete = counted_total.jobs_complete + excluded.jobs_complete
), told as (
    insert into tally select 'pruned first job', '', '', count(*) from gone where counted = 'first job' having count(*) > 0
)
select id from gone;
