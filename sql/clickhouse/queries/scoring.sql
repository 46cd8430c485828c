-- Whom the scorer is asked about, and what the dashboard shows of its answers. An account's figures are those of its own
-- crawl, else what the list told in which it was seen.

-- name: range
-- The next followers of a platform in the order in which edges lie, of so many edges and those of the last one's other
-- creators: up to which id, and how many edges. Only they are read.
select max(id) as until, count() as edges
from (
    select source_profile_id as id
    from _e.profile_relationship_log_events
    where platform = {platform:String} and source_profile_id >= {since:String}
    order by platform, source_profile_id
    limit {limit:UInt32} with ties
);

-- name: unscored
-- Followers of a range of ids (a part of them, by hash: of who has no id there may be any number) of whom no version has
-- an answer. Whom no message can name (asked.py: ids and handles that are too long, or have a zero byte) would be asked
-- about for ever. Who has an answer is left out before anything of them is read.
select
    edge.platform as platform, edge.profile_id as profile_id, edge.creator_handle as handle,
    edge.follower_profile_id as follower_profile_id, edge.follower_handle as follower_handle,
    edge.full_name as follower_full_name,
    coalesce(account.followers, edge.followers) as followers,
    account.following as following, account.media_count as posts,
    edge.picture as picture, edge.private as private
from (
    select
        platform, target_profile_id as profile_id, source_profile_id as follower_profile_id, source_handle as follower_handle,
        argMax(target_handle, event_timestamp) as creator_handle,
        argMax(JSONExtractString(source_dimensions, 'full_name'), event_timestamp) as full_name,
        argMax(source_followers, event_timestamp) as followers,
        -- A list that tells of pictures tells of all; of those that tell of none nothing is known.
        argMax(if(JSONHas(source_dimensions, 'profile_pic_url'), toBool(JSONExtractString(source_dimensions, 'profile_pic_url') != ''), null), event_timestamp) as picture,
        argMax(JSONExtract(source_dimensions, 'is_private', 'Nullable(Bool)'), event_timestamp) as private
    from _e.profile_relationship_log_events
    prewhere platform = {platform:String} and source_profile_id between {since:String} and {until:String}
      and (target_profile_id, source_profile_id, source_handle) not in (
          select profile_id, follower_profile_id, follower_handle
          from _e.creator_follower_score
          where platform = {platform:String} and follower_profile_id between {since:String} and {until:String}
      )
    where target_profile_id != '' and source_handle != '' and cityHash64(target_profile_id, source_handle) % {parts:UInt32} = {part:UInt32}
      and lengthUTF8(target_profile_id) <= 200 and lengthUTF8(source_profile_id) <= 200 and lengthUTF8(source_handle) <= 300
      and position(concat(target_profile_id, source_profile_id, source_handle), '\0') = 0
      and event_timestamp <= now64(6, 'UTC')
    group by platform, profile_id, follower_profile_id, follower_handle
) as edge
left join (
    select 'INSTAGRAM' as platform, profile_id, followers, following, media_count
    from beat_replica.instagram_account final
    where profile_id between {since:String} and {until:String}
) as account
    on account.platform = edge.platform and account.profile_id = edge.follower_profile_id;

-- name: versions
-- Whether an answer may be an older version's (also one that a newer has replaced), and whether this one, or a newer, is
-- at work.
select
    countIf(toUInt32OrZero(scorer_version) < toUInt32OrZero({version:String})) > 0 as older,
    countIf(
        toUInt32OrZero(scorer_version) >= toUInt32OrZero({version:String})
        and event_timestamp >= now64(6, 'UTC') - toIntervalSecond({within_s:UInt32})
    ) > 0 as at_work
from _e.creator_follower_score;

-- name: scored_before
-- Followers whose answer is an older version's, the oldest first. A newer one's stays: while both run, neither undoes
-- what the other has done. What others published and no answer of ours would replace (asked.py: ids and handles that are
-- too long, or have a zero byte, other platforms, later times) would be asked about for ever.
select platform, profile_id, handle, follower_profile_id, follower_handle, follower_full_name, account
from _e.creator_follower_score final
where toUInt32OrZero(scorer_version) < toUInt32OrZero({version:String})
  and platform in ('INSTAGRAM', 'YOUTUBE') and profile_id != '' and concat(follower_profile_id, follower_handle, follower_full_name) != ''
  and lengthUTF8(profile_id) <= 200 and lengthUTF8(follower_profile_id) <= 200 and lengthUTF8(follower_handle) <= 300
  and position(concat(profile_id, follower_profile_id, follower_handle), '\0') = 0
  and event_timestamp <= now64(6, 'UTC')
order by event_timestamp, profile_id, follower_handle
limit {limit:UInt32};

-- name: answers
-- Of all that stand, by version.
select
    scorer_version as version, count() as followers,
    countIf(score = 0) as real, countIf(score > 0 and score < 1) as weak, countIf(score = 1) as fake,
    countIf(score is null) as refused, max(event_timestamp) as newest
from _e.creator_follower_score final
group by version
order by newest desc;

-- name: refusals
select platform, handle, profile_id, follower_handle, follower_profile_id, refused, scorer_version, event_timestamp as at
from _e.creator_follower_score
where score is null
order by event_timestamp desc
limit 10;

-- name: are_shares_built
select count() > 0 as built from system.tables where database = 'dbt' and name = 'mart_instagram_creators_followers_fake_analysis';

-- name: shares
-- Of the creators whose followers were scored last, as the mart counted them, with the handle that was asked about last.
select
    mart.profile_id as profile_id, named.latest as handle, mart.n as n, mart.fake_share as fake, mart.weak_share as weak,
    mart.real_share as real, mart.fake_share_low as fake_low, mart.fake_share_high as fake_high, mart.refused as refused,
    mart.followers_known as followers_known, mart.scored_at as scored_at
from (
    select * from dbt.mart_instagram_creators_followers_fake_analysis order by scored_at desc, profile_id limit 20
) as mart
left join (
    select profile_id, argMax(handle, event_timestamp) as latest
    from _e.creator_follower_score
    where platform = 'INSTAGRAM' and handle != ''
    group by profile_id
) as named on named.profile_id = mart.profile_id
order by scored_at desc, profile_id;
