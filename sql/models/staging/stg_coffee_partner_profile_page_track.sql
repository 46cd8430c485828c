-- description: One row per tenant, profile and day (UTC): how often its people looked at the profile's page. Without
--   deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    partner_id,
    platform,
    profile_id,
    day as date,
    access_count,
    created_at,
    updated_at
from {{ source('coffee_replica', 'partner_profile_page_track') }} final
