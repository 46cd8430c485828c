-- description: One row per profile and one of its 100 most used hashtags (2.8), of both platforms: rank by posts of 365 days, then of
--   90 days, then by name.
-- materialized: table
-- tags: posts
-- unique_key: platform, profile_id, tag
with used as (
    select 'INSTAGRAM' as platform, profile_id, tag, label, posts_90d, posts_365d, avg_engagement
    from {{ ref('mart_instagram_hashtags') }}
    union all
    select 'YOUTUBE' as platform, channel_id as profile_id, tag, label, posts_90d, posts_365d, avg_engagement
    from {{ ref('mart_youtube_hashtags') }}
),
ranked as (
    select *, row_number() over (partition by platform, profile_id order by posts_365d desc, posts_90d desc, tag) as rank
    from used
)
select platform, profile_id, tag, label, posts_365d as posts, posts_90d, posts_365d, avg_engagement, rank
from ranked
where rank <= {{ var('profile_hashtags') }}
