-- What `check --parity` reads of the audit (gcc/pipelines/analytics/parity.py). {table} is a declared name, {audited} the
-- condition of that name, {limit} a literal.

-- name: since
-- When the audit began; null: there is none.
select least((select min(updated_at) from profile_log), (select min(updated_at) from post_log));

-- name: audited
-- The condition {audited}: what was emitted since then, of both sides in the same words. A crawl sees before it commits.
(origin = 'import' or event_timestamp >= %(since)s) and event_timestamp < %(until)s;

-- name: days
select (event_timestamp at time zone 'UTC')::date as day, count(*) as events
from {table}
where {audited}
group by day;

-- name: spots
-- Some of all, others each time.
select event_id::text, (event_timestamp at time zone 'UTC')::date as day, platform, profile_id, {shortcode} as shortcode,
       metrics, dimensions
from {table}
where {audited}
order by md5(event_id::text || %(seed)s)
limit {limit};

-- name: last_known
-- Of some profiles of each month what was known last, and when: a 0 stands only if nothing else came.
with snapshots as (
    select platform, profile_id, event_timestamp, event_id,
           date_trunc('month', event_timestamp at time zone %(zone)s)::date as month,
           (metrics ->> 'followers')::float8 as followers,
           (metrics ->> 'engagement_rate')::float8 as engagement_rate,
           (metrics ->> 'views')::float8 as views
    from profile_log
    where {audited}
), members as (
    select platform, profile_id, month, max(event_timestamp) as last_at
    from snapshots
    where month >= %(first_month)s
    group by platform, profile_id, month
    having max(event_timestamp) < %(built)s
    order by md5(profile_id || %(seed)s)
    limit {limit}
)
select platform, profile_id, month::text,
       (array_agg(followers order by event_timestamp desc, event_id desc) filter (where followers is not null))[1] as followers,
       (array_agg(engagement_rate order by event_timestamp desc, event_id desc) filter (where engagement_rate is not null))[1]
           as engagement_rate,
       (array_agg(views order by event_timestamp desc, event_id desc) filter (where views is not null))[1] as views
from members
join snapshots using (platform, profile_id, month)
group by platform, profile_id, month;
