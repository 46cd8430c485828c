-- description: Who follows whom, one row an edge as it was seen (twice until a merge, if it was delivered twice): creator is followed
--   (or subscribed to), follower follows.
-- materialized: view
-- tags: core
select
    platform,
    target_profile_id as creator_profile_id,
    source_profile_id as follower_profile_id,
    nullIf(target_handle, '') as creator_handle,
    nullIf(source_handle, '') as follower_handle,
    {{ json_text('source_dimensions', 'full_name') }} as follower_name,
    source_followers as follower_followers,
    target_followers as creator_followers,
    lower(relationship_type) as relationship_type,
    source,
    event_timestamp as at,
    {{ event_version() }} as version,
    {{ event_inserted_at() }} as inserted_at
from {{ source('_e', 'profile_relationship_log_events') }}
where {{ event_has_been() }} and {{ event_of_somebody(['target_profile_id']) }}
