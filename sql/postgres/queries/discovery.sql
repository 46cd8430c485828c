-- What the discovery service reads. Handles are unique among living accounts only: after a rename two
-- rows may carry one handle, and the one that was seen last is meant. {account} and {post} are a platform's tables,
-- {profile_id} and {post_id} their keys; {known_by_id} is true where an id may stand in the handle's place: then it wins.

-- name: accounts
-- When the profiles of a platform were crawled: {accounts} elsewhere are all platforms'.
select {platform}::text as platform, {profile_id} as profile_id, scraped_at from {account};

-- name: named
-- Those that go by asked.handle where the platform is asked.platform: a part of {named} elsewhere.
select {profile_id} as profile_id, scraped_at from {account}
where asked.platform = {platform}
  and (({profile_id} = asked.handle and {known_by_id}) or lower(handle) = lower(asked.handle));

-- name: find
select {columns}
from {account}
where ({profile_id} = %(handle)s and {known_by_id}) or lower(handle) = lower(%(handle)s)
order by ({profile_id} = %(handle)s and {known_by_id}) desc, scraped_at desc
limit 1;

-- name: contact
-- A column of {columns} that nobody sees of a creator who does not want it.
case when not exists (select from curated_account as curated
                      where curated.platform = {platform} and curated.profile_id = {account}.{profile_id}
                        and curated.hides_contacts and curated.deleted_at is null)
     then {column} end as {column};

-- name: recent
-- The figures of the newest posts; the index on (profile_id, publish_time desc) has them in order.
select {columns}
from {post}
where {profile_id} = %(profile_id)s and publish_time is not null
order by publish_time desc
limit {posts_max};

-- name: identify
-- Its id, and when it was crawled: null where it is only followed yet (an import named it).
select profile_id, scraped_at from (
    select {profile_id} as profile_id, scraped_at, not ({profile_id} = %(handle)s and {known_by_id}) as by_handle,
           0 as preference
    from {account}
    where ({profile_id} = %(handle)s and {known_by_id}) or lower(handle) = lower(%(handle)s)
    union all
    select profile_id, null, not (profile_id = %(handle)s and {known_by_id}), 1
    from tracked_profile
    where platform = {platform}
      and ((profile_id = %(handle)s and {known_by_id}) or lower(handle) = lower(%(handle)s))
) as known
order by by_handle, preference, scraped_at desc
limit 1;

-- name: known_by_id
-- Whether a platform has a profile of that id, or follows it, and when it was crawled: a part of {known} elsewhere.
(select {platform}::text as platform, {profile_id} as profile_id, scraped_at
 from {account}
 where {profile_id} = %(profile_id)s
 union all
 select platform, profile_id, null from tracked_profile where platform = {platform} and profile_id = %(profile_id)s
 limit 1)

-- name: lately_not_found
-- As what a refresh of this key ended lately because there is no such profile, or none that is shown.
select data ->> 'code' as code from scrape_request_log
where idempotency_key = %(key)s and status = 'FAILED' and data ->> 'code' in ('PROFILE_NOT_FOUND', 'NOT_VISIBLE')
  and scraped_at > now() - make_interval(secs => %(within_s)s)
order by scraped_at desc
limit 1;

-- name: posts
-- Newest first, undated ones last. The keys of the page before: null for the first page. A post of no year of Python's
-- stands at its bounds, as it is read (gcc/stores/odd_values.py): its cursor would bring it again, page after page.
select {columns}
from {post}
where {profile_id} = %(profile_id)s
  and (%(post_id)s::text is null
       or (least(greatest(publish_time, '0001-01-02 00:00+00'), '9999-12-30 00:00+00'), {post_id})
          < (coalesce(%(publish_time)s::timestamptz, '0001-01-02 00:00+00'), %(post_id)s::text))
order by least(greatest(publish_time, '0001-01-02 00:00+00'), '9999-12-30 00:00+00') desc, {post_id} desc
limit %(limit)s;

-- name: count_posts
select count(*) from {post} where {profile_id} = %(profile_id)s;

-- name: series
-- The last known value of each day, week (from Monday) or month, as JSON: who asks for a series wants it written, not
-- read. {column} is one of a fixed list. A row once the table was synced: `points` is [] where nothing is found.
select s.as_of, coalesce('[' || string_agg(row_to_json(series)::text, ',' order by series.date) filter (where series.date is not null) || ']', '[]') as points
from sync_snapshot s
left join (
    select distinct on (1) date_trunc(%(granularity)s, date::timestamp)::date as date, {column} as value
    from social_profile_time_series
    where platform = %(platform)s and profile_id = %(profile_id)s
      and date between %(first)s and %(last)s and {column} is not null
    order by 1, social_profile_time_series.date desc
) series on true
where s.table_name = 'social_profile_time_series'
group by s.as_of;
