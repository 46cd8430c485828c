-- description: YouTube videos as they stand now, one row a video, with their kind by rule 2.11: the table's type is what was told
--   of it last.
-- materialized: view
-- tags: core
-- values: kind = short, video, live
select
    'YOUTUBE' as platform,
    channel_id,
    video_id,
    {{ youtube_kind('post_type', 'duration_s', 'false', 'publish_time') }} as kind,
    title,
    description,
    tags,
    {{ told_count('views') }} as views,
    {{ told_count('likes') }} as likes,
    {{ told_count('comments') }} as comments,
    duration_s,
    thumbnail_url,
    publish_time,
    source,
    scraped_at as at,
    updated_at,
    _version as version
from {{ source('beat_replica', 'youtube_post_simple') }} as post final
