-- description: The leaderboard of Instagram, one row per profile and local month, with what its posts of that month did.
-- materialized: view
-- tags: core
select
    board.* except (platform, views_gained),
    monthly.follower_gain as follower_gain,
    monthly.posts as posts,
    monthly.avg_likes as avg_likes,
    monthly.avg_comments as avg_comments,
    monthly.avg_views as avg_views,
    monthly.engagement_rate as posts_engagement_rate
from {{ ref('mart_leaderboard') }} as board
left join {{ ref('mart_insta_account_monthly') }} as monthly
    on monthly.profile_id = board.profile_id and monthly.month = board.month
where board.platform = 'INSTAGRAM'
settings join_use_nulls = 1
