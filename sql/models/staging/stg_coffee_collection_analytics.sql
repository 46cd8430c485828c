-- description: One row per collection and day: its figures as a report told them. Without deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    partner_id,
    collection_type,
    collection_id,
    day as date,
    metrics,
    created_at,
    updated_at
from {{ source('coffee_replica', 'collection_analytics') }} final
