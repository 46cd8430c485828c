-- description: What owners are told of their YouTube profiles, one row per profile, metric and end of its period: a total, or parts by
--   name (an age, a country ...).
-- materialized: view
-- tags: core
select
    'YOUTUBE' as platform,
    channel_id,
    metric,
    period_end,
    handle,
    value,
    breakdown,
    source,
    scraped_at as at,
    updated_at,
    _version as version
from {{ source('beat_replica', 'youtube_profile_insights') }} as insights final
