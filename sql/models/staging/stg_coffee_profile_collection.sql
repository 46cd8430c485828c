-- description: One row per list of profiles of a tenant. Without deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    partner_id,
    account_id,
    name,
    source,
    is_shared,
    columns,
    version,
    created_at,
    updated_at
from {{ source('coffee_replica', 'profile_collection') }} final
