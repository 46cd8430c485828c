-- description: One row per thing that a tenant's user did. Without deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    partner_id,
    account_id,
    user_id,
    activity_type,
    created_at,
    updated_at
from {{ source('coffee_replica', 'activity_tracker') }} final
