-- Webhooks of other companies, and what other services of the platform tell. Bodies stay whole, in a column of JSON.

-- 49 columns by Branch's own names; times that end in _timestamp are in milliseconds, but for event_timestamp.
create table if not exists `_e`.branch_event {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    id String,
    name LowCardinality(String),
    timestamp Nullable(Int64),
    customer_event_alias LowCardinality(String),
    organization_id LowCardinality(String),
    organization_name LowCardinality(String),
    attributed Nullable(Bool),
    days_from_last_attributed_touch_to_event Nullable(Int64),
    hours_from_last_attributed_touch_to_event Nullable(Int64),
    minutes_from_last_attributed_touch_to_event Nullable(Int64),
    seconds_from_last_attributed_touch_to_event Nullable(Int64),
    last_attributed_touch_type LowCardinality(String),
    last_attributed_touch_timestamp Nullable(Int64),
    last_attributed_touch_data String default '{}' codec(ZSTD(1)),
    last_cta_view_timestamp Nullable(Int64),
    last_cta_view_data String default '{}' codec(ZSTD(1)),
    deep_linked Nullable(Bool),
    first_event_for_user Nullable(Bool),
    existing_user Nullable(Bool),
    install_activity_timestamp Nullable(Int64),
    store_install_begin_timestamp Nullable(Int64),
    referrer_click_timestamp Nullable(Int64),
    user_data String default '{}' codec(ZSTD(1)),
    event_data String default '{}' codec(ZSTD(1)),
    content_items String default '[]' codec(ZSTD(1)),
    custom_data String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    campaign LowCardinality(String) materialized JSONExtractString(last_attributed_touch_data, '~campaign'),
    channel LowCardinality(String) materialized JSONExtractString(last_attributed_touch_data, '~channel'),
    feature LowCardinality(String) materialized JSONExtractString(last_attributed_touch_data, '~feature'),
    stage LowCardinality(String) materialized JSONExtractString(last_attributed_touch_data, '~stage'),
    advertising_partner_name LowCardinality(String)
        materialized JSONExtractString(last_attributed_touch_data, '~advertising_partner_name'),
    ad_name LowCardinality(String) materialized JSONExtractString(last_attributed_touch_data, '~ad_name'),
    keyword LowCardinality(String) materialized JSONExtractString(last_attributed_touch_data, '~keyword'),
    url String materialized JSONExtractString(last_attributed_touch_data, '+url'),
    canonical_url String materialized JSONExtractString(last_attributed_touch_data, '$canonical_url'),
    os LowCardinality(String) materialized JSONExtractString(user_data, 'os'),
    os_version LowCardinality(String) materialized JSONExtractString(user_data, 'os_version'),
    platform LowCardinality(String) materialized JSONExtractString(user_data, 'platform'),
    environment LowCardinality(String) materialized JSONExtractString(user_data, 'environment'),
    country LowCardinality(String) materialized JSONExtractString(user_data, 'country'),
    language LowCardinality(String) materialized JSONExtractString(user_data, 'language'),
    brand LowCardinality(String) materialized JSONExtractString(user_data, 'brand'),
    model LowCardinality(String) materialized JSONExtractString(user_data, 'model'),
    app_version LowCardinality(String) materialized JSONExtractString(user_data, 'app_version'),
    developer_identity String materialized JSONExtractString(user_data, 'developer_identity'),
    idfa String materialized JSONExtractString(user_data, 'idfa'),
    aaid String materialized JSONExtractString(user_data, 'aaid'),
    revenue Nullable(Float64) materialized JSONExtract(event_data, 'revenue', 'Nullable(Float64)'),
    currency LowCardinality(String) materialized JSONExtractString(event_data, 'currency')
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (name, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.webengage_event {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    user_id String,
    event_name LowCardinality(String),
    event_data String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (user_id, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.shopify_event {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    shop_domain LowCardinality(String),
    topic LowCardinality(String),
    webhook_id String,
    event_data String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    order_id Nullable(Int64) materialized JSONExtract(event_data, 'id', 'Nullable(Int64)'),
    total_price Nullable(Float64) materialized toFloat64OrNull(JSONExtractString(event_data, 'total_price')),
    currency LowCardinality(String) materialized JSONExtractString(event_data, 'currency'),
    financial_status LowCardinality(String) materialized JSONExtractString(event_data, 'financial_status')
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (shop_domain, topic, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.graphy_event {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    event_name LowCardinality(String),
    user_id String,
    event_data String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (event_name, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.entity_metric {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    source LowCardinality(String) default 'vidooly',
    platform LowCardinality(String),
    entity_type LowCardinality(String),
    entity_id String,
    metrics String default '{}' codec(ZSTD(1)),
    dimensions String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    views Nullable(Int64) materialized JSONExtract(metrics, 'views', 'Nullable(Int64)'),
    likes Nullable(Int64) materialized JSONExtract(metrics, 'likes', 'Nullable(Int64)'),
    comments Nullable(Int64) materialized JSONExtract(metrics, 'comments', 'Nullable(Int64)'),
    shares Nullable(Int64) materialized JSONExtract(metrics, 'shares', 'Nullable(Int64)'),
    subscribers Nullable(Int64) materialized JSONExtract(metrics, 'subscribers', 'Nullable(Int64)'),
    engagement_rate Nullable(Float64) materialized JSONExtract(metrics, 'engagement_rate', 'Nullable(Float64)')
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (platform, entity_type, entity_id, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.ab_assignment {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    experiment LowCardinality(String),
    variant LowCardinality(String),
    user_id String,
    bb_device_id String,
    dimensions String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (experiment, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.bigboss_vote_log {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    user_id String,
    contestant LowCardinality(String),
    votes Int32 default 1,
    week LowCardinality(String),
    device_id String,
    channel LowCardinality(String),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (contestant, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;

-- One row an order, its latest: rows replace each other by key and event_timestamp, so that an older one that comes
-- again changes nothing. No partitions: rows of two of them would never meet in a merge.
create table if not exists `_e`.affiliate_order_event {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    order_id String,
    store LowCardinality(String),
    status LowCardinality(String),
    user_id String,
    referral_code String,
    currency LowCardinality(String),
    amount Nullable(Float64),
    commission Nullable(Float64),
    ordered_at Nullable(DateTime64(6, 'UTC')),
    order_data String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine_latest}
order by (store, order_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists `_e`.partner_activity_log_events {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    partner_id Int64,
    user_id String,
    activity_type LowCardinality(String),
    metadata String default '{}' codec(ZSTD(1)),
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (partner_id, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;
