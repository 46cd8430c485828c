-- description: One row per profile and local day, as social_profile_time_series serves it; engagement is the day's last engagement rate;
--   built_at: since when the row says so, by which a large table gets the newer ones alone.
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
    engagement_rate as engagement,
    built_at
from {{ ref('mart_profile_daily') }} final
