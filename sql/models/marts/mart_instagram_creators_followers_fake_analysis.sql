-- description: One row per Instagram creator some of whose followers were scored: the shares of fake (1), weak (0.33) and real ones
--   by rule 2.14, over the newest score by names of each follower (n), with the bounds of Wilson's 95 % interval of the fake
--   share. Fewer than 100 make no shares; refused: whose names could not be scored, which are in no share; followers_known: how
--   many edges we know; scored_at: of the newest score.
-- materialized: table
-- tags: hourly
-- unique_key: profile_id
with nameless as (
    select distinct profile_id, lower(follower_handle) as handle
    from {{ source('_e', 'creator_follower_score') }}
    where platform = 'INSTAGRAM' and follower_profile_id = '' and follower_handle != '' and {{ event_has_been() }}
),
named as (
    select profile_id, lower(follower_handle) as handle, argMax(follower_profile_id, event_timestamp) as id
    from {{ source('_e', 'creator_follower_score') }}
    where platform = 'INSTAGRAM' and follower_profile_id != '' and (profile_id, lower(follower_handle)) in (select profile_id, handle from nameless)
        and {{ event_has_been() }}
    group by profile_id, handle
),
scores as (
    select
        scored.profile_id as profile_id,
        -- A follower whose id is not told is who else was seen under the handle, and else known by that.
        multiIf(scored.follower_profile_id != '', scored.follower_profile_id, named.id != '', named.id, lower(scored.follower_handle)) as follower,
        -- Null, which is no score, is passed over.
        argMax(scored.score, scored.event_timestamp) as score,
        maxIf(scored.event_timestamp, scored.score is not null) as at
    from {{ source('_e', 'creator_follower_score') }} as scored final
    left join named on named.profile_id = scored.profile_id and named.handle = lower(scored.follower_handle)
    where scored.platform = 'INSTAGRAM' and {{ event_has_been() }}
    group by profile_id, follower
),
counted as (
    select
        profile_id,
        count(score) as n,
        countIf(score is null) as refused,
        if(n = 0, null, max(at)) as scored_at,
        countIf(score = 1) as fake,
        countIf(score > 0 and score < 1) as weak,
        countIf(score = 0) as real,
        if(n >= {{ var('min_scored_followers') }}, n, null) as enough
    from scores
    group by profile_id
),
edges as (
    select creator_profile_id as profile_id, uniqExact(follower_profile_id) as followers_known
    from {{ ref('stg_beat_profile_relationship_log') }}
    where platform = 'INSTAGRAM'
    group by profile_id
)
select
    counted.profile_id as profile_id,
    n,
    fake / enough as fake_share,
    weak / enough as weak_share,
    real / enough as real_share,
    1 - fake_share - .33 * weak_share as credibility,
    -- 1.96: the normal distribution's 97.5th percentile.
    (fake_share + 1.96 * 1.96 / (2 * n) - 1.96 * sqrt(fake_share * (1 - fake_share) / n + 1.96 * 1.96 / (4 * n * n))) / (1 + 1.96 * 1.96 / n) as fake_share_low,
    (fake_share + 1.96 * 1.96 / (2 * n) + 1.96 * sqrt(fake_share * (1 - fake_share) / n + 1.96 * 1.96 / (4 * n * n))) / (1 + 1.96 * 1.96 / n) as fake_share_high,
    ifNull(edges.followers_known, 0) as followers_known,
    refused,
    scored_at
from counted
left join edges on edges.profile_id = counted.profile_id
