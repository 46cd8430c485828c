-- description: One row per profile and local day, as social_profile_time_series serves it; engagement is the day's last engagement rate.
-- materialized: view
-- tags: core
select
    platform,
    profile_id,
    date,
    followers,
    following,
    media_count,
    views,
    engagement_rate as engagement
from {{ ref('mart_profile_daily') }} final
