-- What `check --parity` asks of ClickHouse. {table} is a declared name. What was delivered twice counts once.

-- name: days
-- An import is told by when it came: its rows may tell of any time. A minute more, as clocks differ.
select toDate(event_timestamp, 'UTC') as day, uniqExact(event_id) as events
from {table}
where (
        (origin = 'import' and insert_timestamp >= toDateTime64({since:String}, 6, 'UTC') - interval 1 minute)
        or (origin = 'gcc' and event_timestamp >= toDateTime64({since:String}, 6, 'UTC'))
    )
    and event_timestamp < toDateTime64({until:String}, 6, 'UTC')
group by day;

-- name: spots
select toString(event_id) as id, profile_id, {shortcode} as shortcode, metrics, dimensions
from {table}
where (platform, profile_id) in (
        select arrayJoin(arrayZip({platforms:Array(String)}, {profile_ids:Array(String)}))
    )
    and toString(event_id) in {ids:Array(String)};

-- name: built
-- When the last good build of what ranks are made of has begun.
select toUnixTimestamp64Micro(min(at)) as built, toUInt64(count()) as models
from (
    select max(started_at) as at from dbt.model_run where model in {models:Array(String)} and error = '' group by model
);

-- name: tables
select name from system.tables where database = 'dbt' and name in ('model_run', 'mart_leaderboard_rank');

-- name: ranked
select platform, profile_id, toString(ranked.month) as month, followers, engagement_rate, views
from dbt.mart_leaderboard_rank as ranked
where profile_id in {profile_ids:Array(String)} and ranked.month >= toDate({first_month:String});
