-- What the models read of PostgreSQL, row by row as it stands there: `beat_replica` of the crawls, `coffee_replica` of the
-- tenants. A row that changed comes again with a greater _version (microseconds of its updated_at); one that is deleted
-- comes with _deleted = 1, and FINAL leaves it out. See gcc/pipelines/analytics/replicas.py. No secret and no address of
-- a person stands here: has_email, has_phone. No partitions: rows of two of them would never meet in a merge.

create database if not exists beat_replica {on_cluster};

create database if not exists coffee_replica {on_cluster};

create table if not exists beat_replica.instagram_account {on_cluster} (
    profile_id String,
    id UUID,
    ig_id Nullable(String),
    fbid Nullable(String),
    handle String,
    full_name Nullable(String),
    bio Nullable(String) codec(ZSTD(1)),
    followers Nullable(Int64),
    following Nullable(Int64),
    media_count Nullable(Int64),
    avg_likes Nullable(Float64),
    avg_comments Nullable(Float64),
    avg_views Nullable(Float64),
    engagement_rate Nullable(Float64),
    profile_type LowCardinality(Nullable(String)),
    is_verified Nullable(Bool),
    is_business Nullable(Bool),
    category LowCardinality(Nullable(String)),
    language LowCardinality(Nullable(String)),
    country LowCardinality(Nullable(String)),
    city LowCardinality(Nullable(String)),
    has_email Bool,
    has_phone Bool,
    profile_pic_url Nullable(String) codec(ZSTD(1)),
    audience_gender Nullable(String) codec(ZSTD(1)),
    audience_age Nullable(String) codec(ZSTD(1)),
    audience_location Nullable(String) codec(ZSTD(1)),
    keywords Array(String),
    state LowCardinality(String),
    source LowCardinality(String),
    scraped_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by profile_id
settings non_replicated_deduplication_window = 1000;

create table if not exists beat_replica.youtube_account {on_cluster} (
    channel_id String,
    id UUID,
    handle Nullable(String),
    title Nullable(String),
    description Nullable(String) codec(ZSTD(1)),
    subscribers Nullable(Int64),
    uploads Nullable(Int64),
    total_views Nullable(Int64),
    avg_likes Nullable(Float64),
    avg_comments Nullable(Float64),
    avg_views Nullable(Float64),
    engagement_rate Nullable(Float64),
    plays Nullable(Int64),
    shorts_reach Nullable(Int64),
    category LowCardinality(Nullable(String)),
    language LowCardinality(Nullable(String)),
    country LowCardinality(Nullable(String)),
    profile_pic_url Nullable(String) codec(ZSTD(1)),
    state LowCardinality(String),
    source LowCardinality(String),
    scraped_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by channel_id
settings non_replicated_deduplication_window = 1000;

create table if not exists beat_replica.instagram_post_simple {on_cluster} (
    post_id String,
    fbid Nullable(String),
    shortcode String,
    profile_id Nullable(String),
    post_type LowCardinality(Nullable(String)),
    caption Nullable(String) codec(ZSTD(1)),
    hashtags Array(String),
    likes Nullable(Int64),
    comments Nullable(Int64),
    plays Nullable(Int64),
    reach Nullable(Int64),
    impressions Nullable(Int64),
    shares Nullable(Int64),
    saved Nullable(Int64),
    thumbnail_url Nullable(String) codec(ZSTD(1)),
    publish_time Nullable(DateTime64(6, 'UTC')),
    source LowCardinality(String),
    scraped_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by post_id
settings non_replicated_deduplication_window = 1000;

create table if not exists beat_replica.youtube_post_simple {on_cluster} (
    video_id String,
    channel_id Nullable(String),
    title Nullable(String) codec(ZSTD(1)),
    description Nullable(String) codec(ZSTD(1)),
    post_type LowCardinality(Nullable(String)),
    views Nullable(Int64),
    likes Nullable(Int64),
    comments Nullable(Int64),
    duration_s Nullable(Int32),
    tags Array(String),
    thumbnail_url Nullable(String) codec(ZSTD(1)),
    publish_time Nullable(DateTime64(6, 'UTC')),
    source LowCardinality(String),
    scraped_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by video_id
settings non_replicated_deduplication_window = 1000;

create table if not exists beat_replica.instagram_profile_insights {on_cluster} (
    profile_id String,
    metric LowCardinality(String),
    period_end Date,
    handle Nullable(String),
    value Nullable(Float64),
    breakdown Map(String, Float64),
    source LowCardinality(String),
    scraped_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by (profile_id, metric, period_end)
settings non_replicated_deduplication_window = 1000;

create table if not exists beat_replica.youtube_profile_insights {on_cluster} (
    channel_id String,
    metric LowCardinality(String),
    period_end Date,
    handle Nullable(String),
    value Nullable(Float64),
    breakdown Map(String, Float64),
    source LowCardinality(String),
    scraped_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by (channel_id, metric, period_end)
settings non_replicated_deduplication_window = 1000;

create table if not exists beat_replica.post_activity_log {on_cluster} (
    platform LowCardinality(String),
    activity_id String,
    activity_type LowCardinality(String),
    post_id String,
    shortcode String,
    profile_id Nullable(String),
    actor_profile_id String,
    actor_handle Nullable(String),
    text Nullable(String) codec(ZSTD(1)),
    parent_id Nullable(String),
    likes Nullable(Int64),
    replies Nullable(Int64),
    publish_time Nullable(DateTime64(6, 'UTC')),
    source LowCardinality(String),
    scraped_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by (platform, activity_id)
settings non_replicated_deduplication_window = 1000;

create table if not exists beat_replica.profile_log {on_cluster} (
    event_id UUID,
    platform LowCardinality(String),
    profile_id String,
    handle Nullable(String),
    metrics String default '{}' codec(ZSTD(1)),
    dimensions String default '{}' codec(ZSTD(1)),
    source LowCardinality(String),
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by event_id
settings non_replicated_deduplication_window = 1000;

create table if not exists beat_replica.credential {on_cluster} (
    id UUID,
    source LowCardinality(String),
    kind LowCardinality(String),
    app String,
    account Nullable(String),
    scopes Array(String),
    enabled Bool,
    disabled_till Nullable(DateTime64(6, 'UTC')),
    data_access_expired Bool,
    version Int32,
    issued_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    expires_at Nullable(DateTime64(6, 'UTC')),
    data_access_expires_at Nullable(DateTime64(6, 'UTC')),
    renewing_at Nullable(DateTime64(6, 'UTC')),
    probed_at Nullable(DateTime64(6, 'UTC')),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists beat_replica.scrape_request_log {on_cluster} (
    id UUID,
    platform LowCardinality(String),
    flow LowCardinality(String),
    params String default '{}' codec(ZSTD(1)),
    status LowCardinality(String),
    priority Int16,
    attempt Int32,
    retry_count Int32,
    seq Int32,
    events Int32,
    source LowCardinality(Nullable(String)),
    error_code LowCardinality(Nullable(String)),
    due_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    picked_at Nullable(DateTime64(6, 'UTC')),
    scraped_at Nullable(DateTime64(6, 'UTC')),
    expires_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists beat_replica.asset_log {on_cluster} (
    id UUID,
    platform LowCardinality(String),
    profile_id String,
    entity_type LowCardinality(String),
    entity_id String,
    asset_type LowCardinality(String),
    object_key Nullable(String),
    cdn_url Nullable(String),
    bytes Nullable(Int64),
    status LowCardinality(String),
    attempts Int32,
    error Nullable(String),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.profile_collection {on_cluster} (
    id UUID,
    partner_id Int64,
    account_id Nullable(UUID),
    name String,
    source LowCardinality(String),
    is_shared Bool,
    columns String default '[]' codec(ZSTD(1)),
    version Int32,
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.profile_collection_item {on_cluster} (
    id UUID,
    partner_id Int64,
    collection_id UUID,
    platform LowCardinality(String),
    platform_profile_id String,
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.post_collection {on_cluster} (
    id UUID,
    partner_id Int64,
    account_id Nullable(UUID),
    name String,
    source LowCardinality(String),
    is_shared Bool,
    columns String default '[]' codec(ZSTD(1)),
    ingestion_frequency LowCardinality(String),
    show_in_report Bool,
    from_date Nullable(Date),
    to_date Nullable(Date),
    version Int32,
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.post_collection_item {on_cluster} (
    id UUID,
    partner_id Int64,
    collection_id UUID,
    platform LowCardinality(String),
    post_shortcode String,
    platform_profile_id Nullable(String),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.keyword_collection {on_cluster} (
    id UUID,
    partner_id Int64,
    account_id Nullable(UUID),
    name String,
    keywords Array(String),
    platforms Array(String),
    from_date Nullable(Date),
    to_date Nullable(Date),
    status LowCardinality(String),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.collection_group {on_cluster} (
    id UUID,
    partner_id Int64,
    account_id Nullable(UUID),
    name String,
    collection_ids Array(UUID),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.campaign_profiles {on_cluster} (
    id UUID,
    partner_id Int64,
    account_id Nullable(UUID),
    platform LowCardinality(String),
    profile_id String,
    handle Nullable(String),
    price Nullable(Float64),
    currency LowCardinality(String),
    tags Array(String),
    status LowCardinality(Nullable(String)),
    has_email Bool,
    has_phone Bool,
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.collection_analytics {on_cluster} (
    id UUID,
    partner_id Int64,
    collection_type LowCardinality(String),
    collection_id UUID,
    day Date,
    metrics String default '{}' codec(ZSTD(1)),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.activity_tracker {on_cluster} (
    id UUID,
    partner_id Int64,
    account_id Nullable(UUID),
    user_id Nullable(String),
    activity_type LowCardinality(String),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.partner {on_cluster} (
    id Int64,
    name String,
    disabled_at Nullable(DateTime64(6, 'UTC')),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.partner_contract {on_cluster} (
    id UUID,
    partner_id Int64,
    type LowCardinality(String),
    plan LowCardinality(String),
    starts_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    ends_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    limits String default '{}' codec(ZSTD(1)),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.partner_usage {on_cluster} (
    id UUID,
    partner_id Int64,
    module LowCardinality(String),
    usage_count Int64,
    limit_count Int64,
    plan_type LowCardinality(String),
    valid_from DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    valid_to DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.partner_profile_page_track {on_cluster} (
    id UUID,
    partner_id Int64,
    platform LowCardinality(String),
    profile_id String,
    day Date,
    access_count Int64,
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.social_link {on_cluster} (
    id UUID,
    partner_id Nullable(Int64),
    platform LowCardinality(String),
    profile_id String,
    linked_platform LowCardinality(String),
    linked_profile_id String,
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.view_instagram_account_lite {on_cluster} (
    profile_id String,
    category LowCardinality(Nullable(String)),
    language LowCardinality(Nullable(String)),
    country LowCardinality(Nullable(String)),
    city LowCardinality(Nullable(String)),
    gender LowCardinality(Nullable(String)),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by profile_id
settings non_replicated_deduplication_window = 1000;

create table if not exists coffee_replica.view_youtube_account_lite {on_cluster} (
    profile_id String,
    category LowCardinality(Nullable(String)),
    language LowCardinality(Nullable(String)),
    country LowCardinality(Nullable(String)),
    city LowCardinality(Nullable(String)),
    gender LowCardinality(Nullable(String)),
    created_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    updated_at DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    _version UInt64 codec(DoubleDelta, ZSTD(1)),
    _deleted UInt8 default 0
)
engine = {engine_replica}
order by profile_id
settings non_replicated_deduplication_window = 1000;
