-- description: One row per YouTube channel of which people of ours know more than the platform tells. Without deleted
--   ones.
-- materialized: view
-- tags: collections
select
    profile_id,
    category,
    language,
    country,
    city,
    gender,
    created_at,
    updated_at
from {{ source('coffee_replica', 'view_youtube_account_lite') }} final
