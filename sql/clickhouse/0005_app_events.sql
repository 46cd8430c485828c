-- What apps send: the header of the gRPC `Events` and one event of it. A click is in `event` and in `click_event`.
-- What a type has beside the header stands in event_params; a column that is taken from there may also be sent itself.

create table if not exists `_e`.event {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    event_name LowCardinality(String),
    session_id String,
    bb_device_id String,
    user_id String,
    device_id String,
    android_advertising_id String,
    client_id LowCardinality(String),
    channel LowCardinality(String),
    os LowCardinality(String),
    os_version LowCardinality(String),
    app_language LowCardinality(String),
    app_version LowCardinality(String),
    current_url String codec(ZSTD(1)),
    merchant_id LowCardinality(String),
    utm_source LowCardinality(String),
    utm_medium LowCardinality(String),
    utm_campaign LowCardinality(String),
    utm_term LowCardinality(String),
    utm_content LowCardinality(String),
    ppId String,
    event_params String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (event_name, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.click_event {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    event_name LowCardinality(String),
    session_id String,
    bb_device_id String,
    user_id String,
    device_id String,
    android_advertising_id String,
    client_id LowCardinality(String),
    channel LowCardinality(String),
    os LowCardinality(String),
    os_version LowCardinality(String),
    app_language LowCardinality(String),
    app_version LowCardinality(String),
    current_url String codec(ZSTD(1)),
    merchant_id LowCardinality(String),
    utm_source LowCardinality(String),
    utm_medium LowCardinality(String),
    utm_campaign LowCardinality(String),
    utm_term LowCardinality(String),
    utm_content LowCardinality(String),
    ppId String,
    event_params String default '{}' codec(ZSTD(1)),
    page LowCardinality(String) default JSONExtractString(event_params, 'page'),
    element LowCardinality(String) default JSONExtractString(event_params, 'element'),
    action LowCardinality(String) default JSONExtractString(event_params, 'action'),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (event_name, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.app_init_event {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    event_name LowCardinality(String),
    session_id String,
    bb_device_id String,
    user_id String,
    device_id String,
    android_advertising_id String,
    client_id LowCardinality(String),
    channel LowCardinality(String),
    os LowCardinality(String),
    os_version LowCardinality(String),
    app_language LowCardinality(String),
    app_version LowCardinality(String),
    current_url String codec(ZSTD(1)),
    merchant_id LowCardinality(String),
    utm_source LowCardinality(String),
    utm_medium LowCardinality(String),
    utm_campaign LowCardinality(String),
    utm_term LowCardinality(String),
    utm_content LowCardinality(String),
    ppId String,
    event_params String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (event_name, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.launch_refer_event {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    event_name LowCardinality(String),
    session_id String,
    bb_device_id String,
    user_id String,
    device_id String,
    android_advertising_id String,
    client_id LowCardinality(String),
    channel LowCardinality(String),
    os LowCardinality(String),
    os_version LowCardinality(String),
    app_language LowCardinality(String),
    app_version LowCardinality(String),
    current_url String codec(ZSTD(1)),
    merchant_id LowCardinality(String),
    utm_source LowCardinality(String),
    utm_medium LowCardinality(String),
    utm_campaign LowCardinality(String),
    utm_term LowCardinality(String),
    utm_content LowCardinality(String),
    ppId String,
    event_params String default '{}' codec(ZSTD(1)),
    referral_code String default JSONExtractString(event_params, 'referral_code'),
    referrer_user_id String default JSONExtractString(event_params, 'referrer_user_id'),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (event_name, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

-- Why an app event is in no other table. Without a readable time it is of 1970: insert_timestamp tells when it came.
create table if not exists `_e`.error_event {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    event_name LowCardinality(String),
    session_id String,
    bb_device_id String,
    user_id String,
    device_id String,
    android_advertising_id String,
    client_id LowCardinality(String),
    channel LowCardinality(String),
    os LowCardinality(String),
    os_version LowCardinality(String),
    app_language LowCardinality(String),
    app_version LowCardinality(String),
    current_url String codec(ZSTD(1)),
    merchant_id LowCardinality(String),
    utm_source LowCardinality(String),
    utm_medium LowCardinality(String),
    utm_campaign LowCardinality(String),
    utm_term LowCardinality(String),
    utm_content LowCardinality(String),
    ppId String,
    event_params String default '{}' codec(ZSTD(1)),
    error String codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (event_name, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;
