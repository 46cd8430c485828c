-- description: Pictures and films that were copied, one row a copy (twice until a merge, if it was delivered twice).
-- materialized: view
-- tags: core
select
    event_id,
    platform,
    profile_id,
    asset_type,
    s3_url,
    cdn_url,
    source_url,
    bytes,
    event_timestamp as at,
    {{ event_version() }} as version,
    {{ event_inserted_at() }} as inserted_at
from {{ source('_e', 'asset_log_events') }}
where {{ event_has_been() }} and {{ event_of_somebody(['profile_id']) }}
