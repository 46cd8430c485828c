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
    {{ json_typed('dimensions', 'duration_s', 'Nullable(Float64)') }} as duration_s,
    if(
        platform = 'YOUTUBE',
        {{ youtube_kind('post_type', json_typed('dimensions', 'duration_s', 'Nullable(Float64)'), json_typed('dimensions', 'upright', 'Nullable(Bool)'), 'publish_time') }},
        {{ instagram_kind('post_type') }}
    ) as kind,
    -- A video's text is its title and its description.
    coalesce(
        {{ json_text('dimensions', 'caption') }},
        nullIf(concatWithSeparator('\n', {{ json_text('dimensions', 'title') }}, {{ json_text('dimensions', 'description') }}), '')
    ) as caption,
    coalesce(
        {{ json_typed('dimensions', 'paid_partnership', 'Nullable(Bool)') }},
        {{ json_typed('dimensions', 'paid_promotion', 'Nullable(Bool)') }},
        {{ json_typed('dimensions', 'is_paid', 'Nullable(Bool)') }}
    ) as is_paid,
    -- A place's name: that of an object, or the field itself.
    coalesce(
        if(position(dimensions, '"location"') = 0, null, nullIf(JSONExtractString(dimensions, 'location', 'name'), '')),
        {{ json_text('dimensions', 'location') }},
        {{ json_text('dimensions', 'location_name') }}
    ) as location,
    -- Who is in it or made it, too.
    arrayDistinct(arrayConcat(
        {{ json_typed('dimensions', 'collaborators', 'Array(String)') }},
        {{ json_typed('dimensions', 'tagged', 'Array(String)') }}
    )) as tagged
from {{ source('_e', 'post_log_events') }}
where {{ event_has_been() }} and {{ event_of_somebody(['profile_id', 'shortcode']) }}
