-- description: One row per list of words for which a tenant had posts searched, and how far its report is. Without
--   deleted ones.
-- materialized: view
-- tags: collections
-- values: status = PENDING, RUNNING, COMPLETE, FAILED
select
    id,
    partner_id,
    account_id,
    name,
    keywords,
    platforms,
    from_date,
    to_date,
    status,
    created_at,
    updated_at
from {{ source('coffee_replica', 'keyword_collection') }} final
