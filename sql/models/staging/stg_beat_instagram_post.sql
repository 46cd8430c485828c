-- description: Instagram posts as they stand now, one row a post, with their kind by rule 2.11. Views and plays are one measure, of
--   films alone: images have none.
-- materialized: view
-- tags: core
-- values: kind = reel, video, image, carousel, story
select
    'INSTAGRAM' as platform,
    profile_id,
    post_id,
    shortcode,
    {{ instagram_kind('post_type') }} as kind,
    caption,
    hashtags,
    {{ told_count('likes') }} as likes,
    {{ told_count('comments') }} as comments,
    -- The table of posts has plays alone.
    if({{ instagram_kind('post_type') }} in ('reel', 'video', 'story'), {{ told_count('plays') }}, null) as views,
    {{ told_count('reach') }} as reach,
    {{ told_count('impressions') }} as impressions,
    {{ told_count('shares') }} as shares,
    {{ told_count('saved') }} as saved,
    thumbnail_url,
    publish_time,
    source,
    scraped_at as at,
    updated_at,
    _version as version
from {{ source('beat_replica', 'instagram_post_simple') }} as post final
