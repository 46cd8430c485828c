-- Snapshots of profiles and posts. A row is delivered at least once: event_id ends the sort key, so that equal
-- rows become one in a merge; readers use FINAL, argMax or LIMIT 1 BY. Every column of the partition and of the key
-- comes from the payload. metrics and dimensions keep the whole JSON; what models read is typed beside it
-- (MATERIALIZED: not part of SELECT *, name the column). A missing or unreadable value is NULL. Granules are small
-- because the common question is about one profile: its series takes about half the CPU, for 2 % more disk.

create table if not exists `_e`.profile_log_events {on_cluster} (
    event_id UUID,
    v UInt16,                                       -- version of the event's schema
    origin LowCardinality(String),                  -- the program that emitted it
    origin_id String,                               -- the job, import or message that it came from
    source LowCardinality(String),
    platform LowCardinality(String),
    profile_id String,
    handle String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    metrics String codec(ZSTD(1)),
    dimensions String codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),         -- fields that this schema does not know, as JSON
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    followers Nullable(Int64) materialized JSONExtract(metrics, 'followers', 'Nullable(Int64)'),
    following Nullable(Int64) materialized JSONExtract(metrics, 'following', 'Nullable(Int64)'),
    media_count Nullable(Int64) materialized JSONExtract(metrics, 'media_count', 'Nullable(Int64)'),
    likes Nullable(Int64) materialized JSONExtract(metrics, 'likes', 'Nullable(Int64)'),
    comments Nullable(Int64) materialized JSONExtract(metrics, 'comments', 'Nullable(Int64)'),
    views Nullable(Int64) materialized JSONExtract(metrics, 'views', 'Nullable(Int64)'),
    plays Nullable(Int64) materialized JSONExtract(metrics, 'plays', 'Nullable(Int64)'),
    avg_likes Nullable(Float64) materialized JSONExtract(metrics, 'avg_likes', 'Nullable(Float64)'),
    avg_comments Nullable(Float64) materialized JSONExtract(metrics, 'avg_comments', 'Nullable(Float64)'),
    avg_views Nullable(Float64) materialized JSONExtract(metrics, 'avg_views', 'Nullable(Float64)'),
    engagement_rate Nullable(Float64) materialized JSONExtract(metrics, 'engagement_rate', 'Nullable(Float64)'),
    category Nullable(String) materialized nullIf(JSONExtractString(dimensions, 'category'), ''),
    language Nullable(String) materialized nullIf(JSONExtractString(dimensions, 'language'), ''),
    country Nullable(String) materialized nullIf(JSONExtractString(dimensions, 'country'), ''),
    full_name Nullable(String) materialized nullIf(JSONExtractString(dimensions, 'full_name'), ''),
    profile_pic_url Nullable(String) materialized nullIf(JSONExtractString(dimensions, 'profile_pic_url'), '')
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (platform, profile_id, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000, index_granularity = 1024;

create table if not exists `_e`.post_log_events {on_cluster} (
    event_id UUID,
    v UInt16,
    origin LowCardinality(String),
    origin_id String,
    source LowCardinality(String),
    platform LowCardinality(String),
    profile_id String,
    handle String,
    shortcode String,
    post_id String,
    publish_time Nullable(DateTime64(6, 'UTC')),
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    metrics String codec(ZSTD(1)),
    dimensions String codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    likes Nullable(Int64) materialized JSONExtract(metrics, 'likes', 'Nullable(Int64)'),
    comments Nullable(Int64) materialized JSONExtract(metrics, 'comments', 'Nullable(Int64)'),
    views Nullable(Int64) materialized JSONExtract(metrics, 'views', 'Nullable(Int64)'),
    plays Nullable(Int64) materialized JSONExtract(metrics, 'plays', 'Nullable(Int64)'),
    reach Nullable(Int64) materialized JSONExtract(metrics, 'reach', 'Nullable(Int64)'),
    impressions Nullable(Int64) materialized JSONExtract(metrics, 'impressions', 'Nullable(Int64)'),
    shares Nullable(Int64) materialized JSONExtract(metrics, 'shares', 'Nullable(Int64)'),
    saved Nullable(Int64) materialized JSONExtract(metrics, 'saved', 'Nullable(Int64)'),
    engagement_rate Nullable(Float64) materialized JSONExtract(metrics, 'engagement_rate', 'Nullable(Float64)'),
    post_type Nullable(String) materialized nullIf(JSONExtractString(dimensions, 'post_type'), '')
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (platform, profile_id, shortcode, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000, index_granularity = 1024;
