-- description: One row per two profiles that are one person's. partner_id: the tenant that says so, who alone sees it;
--   null: we do. Without deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    partner_id,
    platform,
    profile_id,
    linked_platform,
    linked_profile_id,
    created_at,
    updated_at
from {{ source('coffee_replica', 'social_link') }} final
