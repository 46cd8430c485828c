-- description: Snapshots of posts, one row a snapshot. Names and casts only; the kind is by rule 2.11.
--   A snapshot that was delivered twice stands here twice until a merge: readers take argMax by version.
--   What tells of a time to come is left out until then: one mistyped year would be everybody's latest month.
-- materialized: view
-- tags: core
-- values: kind = reel, video, image, carousel, story, short, live
select
    platform,
    profile_id,
    post_id,
    shortcode,
    event_timestamp as at,
    {{ event_version() }} as version,
    toDate(event_timestamp, '{{ var("timezone") }}') as date,
    {{ event_inserted_at() }} as inserted_at,
    insert_timestamp as stored_at,
    source,
    handle,
    {{ told_time('publish_time') }} as publish_time,
    {{ told_count('likes') }} as likes,
    {{ told_count('comments') }} as comments,
    {{ told_count('views') }} as views,
    {{ told_count('plays') }} as plays,
    {{ told_count('reach') }} as reach,
    {{ told_count('impressions') }} as impressions,
    {{ told_count('shares') }} as shares,
    {{ told_count('saved') }} as saved,
    post_type,
    duration_s,
    if(
        platform = 'YOUTUBE',
        {{ youtube_kind('post_type', 'duration_s', 'upright', 'publish_time') }},
        {{ instagram_kind('post_type') }}
    ) as kind,
    -- A video's text is its title and its description.
    coalesce(
        {{ json_text('dimensions', 'caption') }},
        nullIf(concatWithSeparator('\n', {{ json_text('dimensions', 'title') }}, {{ json_text('dimensions', 'description') }}), '')
    ) as caption,
    is_paid,
    location,
    tagged
from {{ source('_e', 'post_log_events') }}
where {{ event_has_been() }} and {{ event_of_somebody(['profile_id', 'shortcode']) }}
