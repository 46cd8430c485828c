-- description: Changes of status of scrape jobs, one row a change (twice until a merge, if it was delivered twice).
--   Names and casts only.
-- materialized: view
-- tags: core
select
    scl_id as job_id,
    seq,
    flow,
    platform,
    status,
    retry_count,
    reason,
    event_timestamp as at,
    toDate(event_timestamp, '{{ var("timezone") }}') as date,
    insert_timestamp as inserted_at
from {{ source('_e', 'scrape_request_log_events') }}
