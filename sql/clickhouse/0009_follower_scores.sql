-- How credible a creator's followers look, one row a follower: a newer score replaces the older one. What was seen
-- stands beside it, and why.

create table if not exists `_e`.creator_follower_score {on_cluster} (
    event_id UUID,
    v UInt16 default 1,
    origin LowCardinality(String),
    origin_id String,
    event_timestamp DateTime64(6, 'UTC') codec(DoubleDelta, ZSTD(1)),
    platform LowCardinality(String) default 'INSTAGRAM',
    profile_id String,                              -- the creator
    handle String,
    follower_profile_id String,                     -- '': not told
    follower_handle String,
    follower_full_name String codec(ZSTD(1)),
    score Float64,                                  -- 0 real, 0.33 a weak sign, 1 fake
    features String default '{}' codec(ZSTD(1)),
    reasons Array(LowCardinality(String)),
    scorer LowCardinality(String),                  -- which version of the rules
    extra String default '' codec(ZSTD(1)),
    insert_timestamp DateTime64(6, 'UTC') default now64(6, 'UTC') codec(DoubleDelta, ZSTD(1))
)
engine = {engine_latest}
order by (platform, profile_id, follower_handle, follower_profile_id)
settings non_replicated_deduplication_window = 1000;
