-- description: YouTube channels as they stand now, one row a channel. Names and casts; subscribers that are hidden are null.
-- materialized: view
-- tags: core
select
    'YOUTUBE' as platform,
    channel_id,
    handle,
    title,
    description,
    {{ told_count('subscribers') }} as subscribers,
    {{ told_count('uploads') }} as uploads,
    {{ told_count('total_views') }} as total_views,
    avg_likes,
    avg_comments,
    avg_views,
    engagement_rate,
    plays,
    shorts_reach,
    category,
    language,
    country,
    profile_pic_url,
    state,
    source,
    scraped_at as at,
    updated_at,
    _version as version
from {{ source('beat_replica', 'youtube_account') }} as account final
