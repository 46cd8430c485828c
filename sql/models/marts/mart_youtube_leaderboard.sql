-- description: The leaderboard of YouTube, one row per channel and local month, with what its videos of that month did.
-- materialized: view
-- tags: core
select
    board.profile_id as channel_id,
    board.* except (platform, profile_id),
    monthly.follower_gain as subscriber_gain,
    monthly.posts as videos,
    monthly.avg_likes as avg_likes,
    monthly.avg_comments as avg_comments,
    monthly.avg_views as avg_views,
    monthly.engagement_rate as videos_engagement_rate
from {{ ref('mart_leaderboard') }} as board
left join {{ ref('mart_youtube_account_monthly') }} as monthly
    on monthly.channel_id = board.profile_id and monthly.month = board.month
where board.platform = 'YOUTUBE'
settings join_use_nulls = 1
