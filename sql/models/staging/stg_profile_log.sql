-- description: Snapshots of profiles, one row a snapshot. Names and casts only.
--   A snapshot that was delivered twice stands here twice until a merge: readers take argMax by version.
--   What tells of a time to come is left out until then: one mistyped year would be everybody's latest month.
-- materialized: view
-- tags: core
select
    platform,
    profile_id,
    event_timestamp as at,
    -- The order of snapshots; equal times are told apart by id. One number: argMax by a tuple is 4 times slower.
    toUInt64(greatest(toUnixTimestamp64Micro(event_timestamp), 0)) * 4096 + cityHash64(event_id) % 4096 as version,
    toDate(event_timestamp, '{{ var("timezone") }}') as date,
    greatest(insert_timestamp, event_timestamp - interval 1 day) as inserted_at, -- since when it stands here
    source,
    -- A YouTube channel's handle stands among the dimensions; the column holds its id.
    coalesce(nullIf(JSONExtractString(dimensions, 'handle'), ''), nullIf(profile_log.handle, '')) as handle,
    followers,
    following,
    media_count,
    views,
    avg_likes,
    avg_comments,
    avg_views,
    engagement_rate,
    full_name,
    profile_pic_url,
    category,
    language,
    country
from {{ source('_e', 'profile_log_events') }} as profile_log
where event_timestamp < now64(6, 'UTC') + interval 1 day
