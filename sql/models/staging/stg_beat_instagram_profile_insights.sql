-- description: What owners are told of their Instagram profiles, one row per profile, metric and end of its period: a total, or parts by
--   name (an age, a country ...).
-- materialized: view
-- tags: core
select
    'INSTAGRAM' as platform,
    profile_id,
    metric,
    period_end,
    handle,
    value,
    breakdown,
    source,
    scraped_at as at,
    updated_at,
    _version as version
from {{ source('beat_replica', 'instagram_profile_insights') }} as insights final
