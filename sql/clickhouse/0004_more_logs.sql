-- The other logs of crawls and of work. Delivered at least once, as the snapshots are (0002). A column of JSON that an
-- event does not have is {}; what models read is typed beside it (MATERIALIZED: name the column).

-- Events of other producers do not say which version of the schema they have: it is the first.
alter table `_e`.profile_log_events {on_cluster} modify column v UInt16 default 1;
alter table `_e`.post_log_events {on_cluster} modify column v UInt16 default 1;
alter table `_e`.scrape_request_log_events {on_cluster} modify column v UInt16 default 1;
alter table `_e`.trace_log_events {on_cluster} modify column v UInt16 default 1;

create table if not exists `_e`.sentiment_log_events {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    source LowCardinality(String),
    platform LowCardinality(String),
    profile_id String,
    shortcode String,
    comment_id String,
    comment String codec(ZSTD(1)),
    sentiment LowCardinality(String),
    score Float64,
    metrics String default '{}' codec(ZSTD(1)),
    dimensions String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    language LowCardinality(String) materialized JSONExtractString(dimensions, 'language')
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (platform, profile_id, shortcode, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.post_activity_log_events {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    source LowCardinality(String),
    platform LowCardinality(String),
    profile_id String,
    shortcode String,
    activity_type LowCardinality(String),           -- comment, like
    actor_profile_id String,
    publish_time Nullable(DateTime64(6, 'UTC')),
    metrics String default '{}' codec(ZSTD(1)),
    dimensions String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    likes Nullable(Int64) materialized JSONExtract(metrics, 'likes', 'Nullable(Int64)'),
    text String materialized JSONExtractString(dimensions, 'text')
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (platform, profile_id, shortcode, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.profile_relationship_log_events {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    source LowCardinality(String),
    platform LowCardinality(String),
    source_profile_id String,
    target_profile_id String,
    relationship_type LowCardinality(String),
    source_metrics String default '{}' codec(ZSTD(1)),
    source_dimensions String default '{}' codec(ZSTD(1)),
    target_metrics String default '{}' codec(ZSTD(1)),
    target_dimensions String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    source_followers Nullable(Int64) materialized JSONExtract(source_metrics, 'followers', 'Nullable(Int64)'),
    source_handle String materialized JSONExtractString(source_dimensions, 'handle'),
    target_followers Nullable(Int64) materialized JSONExtract(target_metrics, 'followers', 'Nullable(Int64)'),
    target_handle String materialized JSONExtractString(target_dimensions, 'handle')
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (platform, source_profile_id, target_profile_id, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.order_log_events {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    source LowCardinality(String),
    platform LowCardinality(String),
    store LowCardinality(String),
    platform_order_id String,
    metrics String default '{}' codec(ZSTD(1)),
    dimensions String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    total_price Nullable(Float64) materialized JSONExtract(metrics, 'total_price', 'Nullable(Float64)'),
    total_discounts Nullable(Float64) materialized JSONExtract(metrics, 'total_discounts', 'Nullable(Float64)'),
    quantity Nullable(Int64) materialized JSONExtract(metrics, 'quantity', 'Nullable(Int64)'),
    status LowCardinality(String) materialized JSONExtractString(dimensions, 'status'),
    currency LowCardinality(String) materialized JSONExtractString(dimensions, 'currency'),
    discount_code String materialized JSONExtractString(dimensions, 'discount_code')
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (platform, store, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.yt_activity_log_events {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    source LowCardinality(String),
    platform LowCardinality(String) default 'YOUTUBE',
    activity_id String,
    activity_type LowCardinality(String),
    actor_channel_id String,
    publish_time Nullable(DateTime64(6, 'UTC')),
    metrics String default '{}' codec(ZSTD(1)),
    dimensions String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    video_id String materialized JSONExtractString(dimensions, 'video_id')
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (platform, actor_channel_id, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.asset_log_events {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    platform LowCardinality(String),
    profile_id String,
    asset_type LowCardinality(String),
    s3_url String codec(ZSTD(1)),
    cdn_url String codec(ZSTD(1)),
    source_url String codec(ZSTD(1)),
    bytes UInt64,
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (platform, profile_id, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;
