-- description: Snapshots of profiles, one row a snapshot (twice until merges, if it was delivered twice). Names and casts only.
-- materialized: view
-- tags: core
select
    platform,
    profile_id,
    event_timestamp as at,
    -- The order of snapshots, total: equal times are told apart by id. One number, because argMax by a tuple is 4 times slower.
    toInt128(toUnixTimestamp64Micro(event_timestamp)) * 9223372036854775808 + bitShiftRight(cityHash64(event_id), 1) as version,
    toDate(event_timestamp, '{{ var("timezone") }}') as date,
    insert_timestamp as inserted_at,
    source,
    nullIf(handle, '') as handle,
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
from {{ source('_e', 'profile_log_events') }}
