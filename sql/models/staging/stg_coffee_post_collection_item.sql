-- description: One row per post in a tenant's list. shortcode: of YouTube the video's id; profile_id: whose it is,
--   where the tenant told. Without deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    partner_id,
    collection_id,
    platform,
    post_shortcode as shortcode,
    platform_profile_id as profile_id,
    created_at,
    updated_at
from {{ source('coffee_replica', 'post_collection_item') }} final
