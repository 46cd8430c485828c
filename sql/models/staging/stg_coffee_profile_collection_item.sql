-- description: One row per profile in a tenant's list. Without deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    partner_id,
    collection_id,
    platform,
    platform_profile_id as profile_id,
    created_at,
    updated_at
from {{ source('coffee_replica', 'profile_collection_item') }} final
