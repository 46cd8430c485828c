-- description: Changes of status of scrape jobs, one row a change (twice until a merge, if it was delivered twice).
--   Names and casts; what the job is about is told by its params. What is no change that we know is left out.
-- materialized: view
-- tags: core
-- values: platform = INSTAGRAM, YOUTUBE, SHOPIFY, INTERNAL;
--   status = PENDING, PROCESSING, COMPLETE, FAILED, EXPIRED, CANCELLED
select
    scl_id as job_id,
    seq,
    flow,
    platform,
    -- The narrowest thing that the params name: a post, else a profile, else a shop or a word.
    coalesce(
        {%- for name in ['post_id', 'video_id', 'shortcode', 'playlist_id', 'profile_id', 'channel_id', 'handle', 'store', 'hashtag'] %}
        {{ json_text('params', name) }}{{ ',' if not loop.last }}
        {%- endfor %}
    ) as target_id,
    status,
    priority,
    retry_count,
    reason,
    picked_at,
    expires_at,
    event_timestamp as at,
    toDate(event_timestamp, '{{ var("timezone") }}') as date,
    insert_timestamp as inserted_at
from {{ source('_e', 'scrape_request_log_events') }}
where {{ told_time('event_timestamp') }} is not null and {{ event_of_somebody(['scl_id'], ['INTERNAL']) }}
    and status in ('PENDING', 'PROCESSING', 'COMPLETE', 'FAILED', 'EXPIRED', 'CANCELLED')
