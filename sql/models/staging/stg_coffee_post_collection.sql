-- description: One row per list of posts of a tenant: how often they are read anew (NONE, DAILY, HOURLY), and the days
--   of its campaign (null: open). Without deleted ones.
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
    ingestion_frequency,
    show_in_report,
    from_date,
    to_date,
    version,
    created_at,
    updated_at
from {{ source('coffee_replica', 'post_collection') }} final
