-- What the platform did: changes of status of scrape jobs, and requests to the outside. Delivered at least once, as
-- the snapshots are.

create table if not exists `_e`.scrape_request_log_events {on_cluster} (
    event_id UUID,
    v UInt16,
    origin LowCardinality(String),
    origin_id String,
    scl_id String,                                  -- the job
    seq UInt32,                                     -- grows with every change of the job: the highest is the latest
    flow LowCardinality(String),
    platform LowCardinality(String),
    params String codec(ZSTD(1)),
    status LowCardinality(String),
    priority Int16,
    retry_count UInt32,
    reason Nullable(String) codec(ZSTD(1)),
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    picked_at Nullable(DateTime64(6, 'UTC')),
    expires_at Nullable(DateTime64(6, 'UTC')),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by (toYYYYMMDD(event_timestamp), flow)
order by (platform, flow, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.trace_log_events {on_cluster} (
    event_id UUID,
    v UInt16,
    origin LowCardinality(String),
    origin_id String,
    id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    host_name LowCardinality(String),
    service_name LowCardinality(String),            -- the source that was called
    method LowCardinality(String),
    uri String codec(ZSTD(1)),
    headers String codec(ZSTD(1)),
    request String codec(ZSTD(1)),
    response_status Nullable(Int32),                -- null: no answer came
    response_size Nullable(Int64),                  -- bytes
    time_taken Float64,                             -- seconds
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (service_name, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;
