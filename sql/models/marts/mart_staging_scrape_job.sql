-- description: One row per scrape job: its last status (the change with the highest seq) and when it got there.
-- materialized: incremental
-- tags: core
-- values: platform = INSTAGRAM, YOUTUBE, SHOPIFY, INTERNAL;
--   status = PENDING, PROCESSING, COMPLETE, FAILED, EXPIRED, CANCELLED
-- unique_key: job_id
select
    job_id,
    argMax(stg.flow, stg.seq) as flow,
    argMax(stg.platform, stg.seq) as platform,
    argMax(stg.status, stg.seq) as status,
    argMax(stg.retry_count, stg.seq) as retry_count,
    argMax(tuple(stg.reason), stg.seq).1 as reason,
    argMax(stg.at, stg.seq) as last_at,
    now64(6, 'UTC') as built_at
from {{ ref('stg_beat_scrape_request_log') }} as stg
{% if is_incremental() %}
where job_id in (select job_id from {{ ref('stg_beat_scrape_request_log') }} where inserted_at >= {{ watermark() }})
{% endif %}
group by job_id
