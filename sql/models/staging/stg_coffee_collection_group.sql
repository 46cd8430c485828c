-- description: One row per group of a tenant's collections, of either kind. The ids are as they were given:
--   mart_staging_collection_group leaves out those that are not the tenant's own. Without deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    partner_id,
    account_id,
    name,
    collection_ids,
    created_at,
    updated_at
from {{ source('coffee_replica', 'collection_group') }} final
