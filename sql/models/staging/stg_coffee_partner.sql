-- description: One row per tenant. Without deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    id as partner_id,
    name,
    disabled_at,
    created_at,
    updated_at
from {{ source('coffee_replica', 'partner') }} final
