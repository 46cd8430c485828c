-- description: Snapshots of profiles, one row a snapshot. Names and casts only.
--   A snapshot that was delivered twice stands here twice until a merge: readers take argMax by version.
--   What tells of a time to come is left out until then: one mistyped year would be everybody's latest month.
-- materialized: view
-- tags: core
select
    platform,
    profile_id,
    event_timestamp as at,
    {{ event_version() }} as version,
    toDate(event_timestamp, '{{ var("timezone") }}') as date,
    {{ event_inserted_at() }} as inserted_at,
    insert_timestamp as stored_at,
    source,
    -- A YouTube channel's handle stands among the dimensions; the column holds its id.
    coalesce(told_handle, nullIf(profile_log.handle, '')) as handle,
    {{ told_count('followers') }} as followers,
    {{ told_count('following') }} as following,
    {{ told_count('media_count') }} as media_count,
    {{ told_count('views') }} as views,
    {{ told_count('avg_likes') }} as avg_likes,
    {{ told_count('avg_comments') }} as avg_comments,
    {{ told_count('avg_views') }} as avg_views,
    {{ told_rate('engagement_rate') }} as engagement_rate,
    full_name,
    profile_pic_url,
    website,
    category,
    language,
    country,
    -- What one model alone reads, it takes out of these.
    metrics,
    dimensions
from {{ source('_e', 'profile_log_events') }} as profile_log
where {{ event_has_been() }} and {{ event_of_somebody(['profile_id']) }}
