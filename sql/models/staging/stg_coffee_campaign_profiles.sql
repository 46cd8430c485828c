-- description: One row per creator of a tenant's campaigns. price: what is agreed for a post, in `currency`; null:
--   nothing is. Without deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    partner_id,
    account_id,
    platform,
    profile_id,
    handle,
    price,
    currency,
    tags,
    status,
    has_email,
    has_phone,
    created_at,
    updated_at
from {{ source('coffee_replica', 'campaign_profiles') }} final
