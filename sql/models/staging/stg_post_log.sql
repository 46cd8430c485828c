-- description: Snapshots of posts, one row a snapshot. Names and casts only.
--   A snapshot that was delivered twice stands here twice until a merge: readers take argMax by version.
--   What tells of a time to come is left out until then: one mistyped year would be everybody's latest month.
-- materialized: view
-- tags: core
select
    platform,
    profile_id,
    post_id,
    shortcode,
    event_timestamp as at,
    -- The order of snapshots; equal times are told apart by id. One number: argMax by a tuple is 4 times slower.
    toUInt64(greatest(toUnixTimestamp64Micro(event_timestamp), 0)) * 4096 + cityHash64(event_id) % 4096 as version,
    greatest(insert_timestamp, event_timestamp - interval 1 day) as inserted_at, -- since when it stands here
    publish_time,
    likes,
    comments,
    views,
    plays
from {{ source('_e', 'post_log_events') }}
where event_timestamp < now64(6, 'UTC') + interval 1 day
