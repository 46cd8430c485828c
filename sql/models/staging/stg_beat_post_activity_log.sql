-- description: What people did under posts, a comment or a like a row (twice until a merge, if it was delivered twice). Of one comment
--   there may be several tellings: argMax by version within activity_id.
-- materialized: view
-- tags: core
select
    platform,
    profile_id,
    shortcode,
    {{ json_text('dimensions', 'post_id') }} as post_id,
    -- A like has no id of its own: who liked what. A comment that was told without one is told apart by its event.
    coalesce(
        {{ json_text('dimensions', 'activity_id') }},
        if(activity_type = 'like', concat(shortcode, ':', actor_profile_id), toString(event_id))
    ) as activity_id,
    lower(activity_type) as activity_type,
    nullIf(actor_profile_id, '') as actor_profile_id,
    {{ json_text('dimensions', 'actor_handle') }} as actor_handle,
    nullIf(text, '') as text,
    {{ json_text('dimensions', 'parent_id') }} as parent_id,
    {{ told_count('likes') }} as likes,
    publish_time,
    source,
    event_timestamp as at,
    {{ event_version() }} as version,
    {{ event_inserted_at() }} as inserted_at
from {{ source('_e', 'post_activity_log_events') }}
where {{ event_has_been() }} and {{ event_of_somebody(['shortcode']) }}
