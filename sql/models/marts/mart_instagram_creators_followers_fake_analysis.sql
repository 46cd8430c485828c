-- description: One row per Instagram creator some of whose followers were scored: the shares of fake (1), weak (0.33) and real ones
--   by rule 2.14, over the newest score of each follower, with the bounds of Wilson's 95 % interval of the fake share. Fewer
--   than 100 followers make no shares; followers_known: how many edges we know.
-- materialized: table
-- tags: hourly
-- unique_key: profile_id
with scores as (
    select
        profile_id,
        -- A follower whose id is not told is known by the handle.
        if(follower_profile_id = '', lower(follower_handle), follower_profile_id) as follower,
        argMax(score, event_timestamp) as score
    from {{ source('_e', 'creator_follower_score') }} as scored final
    where platform = 'INSTAGRAM'
    group by profile_id, follower
),
counted as (
    select
        profile_id,
        count() as n,
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
    ifNull(edges.followers_known, 0) as followers_known
from counted
left join edges on edges.profile_id = counted.profile_id
