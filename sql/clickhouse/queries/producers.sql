-- What producers look for: a row is a job to be. `id` is what it is about (of its key), `priority` 8 for what people who
-- pay looked at within 30 days, 5 for what stands in a collection or campaign, 0 for the rest; every other column is a
-- param of the flow. {viewed}, {collected}, {connected} and {open_collections} are the first statements, {limit:UInt64} is the room of the queue.

-- name: viewed
select platform, profile_id
from coffee_replica.partner_profile_page_track final
where day >= today() - 30 and access_count > 0 and partner_id in (
    select partner_id from coffee_replica.partner_contract final
    where plan in ('SAAS', 'PAID', 'PRO') and starts_at <= now() and ends_at > now()
);

-- name: collected
select platform, platform_profile_id as profile_id from coffee_replica.profile_collection_item final
union distinct
select platform, assumeNotNull(platform_profile_id) from coffee_replica.post_collection_item final
where platform_profile_id is not null
union distinct
select platform, profile_id from coffee_replica.campaign_profiles final;

-- name: connected
select account.profile_id
from beat_replica.instagram_account as account final
where arrayExists(own -> own in (
        select assumeNotNull(account) from beat_replica.credential final
        where source = 'graphapi' and enabled and account is not null
    ), [account.profile_id, ifNull(account.ig_id, ''), ifNull(account.fbid, '')]);

-- name: open_collections
-- Whose campaign has not ended more than a week ago.
select id from coffee_replica.post_collection final
where ingestion_frequency <> 'NONE' and (to_date is null or to_date >= today() - 7);

-- name: models
-- Those of {names} that stand.
select name from system.tables where database = 'dbt' and name in {names:Array(String)};

-- name: insta_profiles_basic
select
    profile_id as id, handle,
    multiIf(('INSTAGRAM', profile_id) in ({viewed}), 8, ('INSTAGRAM', profile_id) in ({collected}), 5, 0) as priority
from beat_replica.instagram_account final
where state in ('active', 'private') and scraped_at < now() - interval 7 day
order by priority desc, scraped_at, id
limit {limit:UInt64};

-- name: insta_profiles_by_id
-- Who was not found under the handle that we know, or left it to somebody else: the id still finds them.
select
    profile_id as id, profile_id,
    multiIf(('INSTAGRAM', profile_id) in ({viewed}), 8, ('INSTAGRAM', profile_id) in ({collected}), 5, 0) as priority
from beat_replica.instagram_account final
where state in ('renamed', 'gone', 'unknown')
order by priority desc, updated_at, id
limit {limit:UInt64};

-- name: insta_profiles_custom
select due.id as id, account.handle as handle, greatest(due.priority, 5) as priority
from (select id, priority, due_at from dbt.mart_staging_collection_due
      where platform = 'INSTAGRAM' and kind = 'PROFILE' and due_at <= now()) as due
inner join (select profile_id, handle from beat_replica.instagram_account final) as account
    on account.profile_id = due.id
order by priority desc, due.due_at, id
limit {limit:UInt64};

-- name: insta_posts_hourly
select id, id as shortcode, greatest(priority, 5) as priority
from dbt.mart_staging_collection_due
where platform = 'INSTAGRAM' and kind = 'POST' and every_h < 24 and due_at <= now()
order by priority desc, due_at, id
limit {limit:UInt64};

-- name: insta_posts_daily
select id, id as shortcode, greatest(priority, 5) as priority
from dbt.mart_staging_collection_due
where platform = 'INSTAGRAM' and kind = 'POST' and every_h >= 24 and due_at <= now()
order by priority desc, due_at, id
limit {limit:UInt64};

-- name: insta_tagged_posts
select campaign.profile_id as id, campaign.profile_id as profile_id, 5 as priority
from coffee_replica.campaign_profiles as campaign final
where campaign.platform = 'INSTAGRAM'
group by campaign.profile_id
order by id
limit {limit:UInt64};

-- name: insta_post_insights
-- Posts of the last 30 days of those who have connected their account.
select post.post_id as id, post.post_id as post_id, post.profile_id as profile_id, 5 as priority
from beat_replica.instagram_post_simple as post final
where post.publish_time > now() - interval 30 day and ifNull(post.post_type, '') not in ('story', 'STORY')
  and post.profile_id in ({connected})
order by post.publish_time desc, id
limit {limit:UInt64};

-- name: insta_profile_insights
select account.profile_id as id, account.profile_id as profile_id, 5 as priority
from beat_replica.instagram_account as account final
where account.profile_id in ({connected})
order by id
limit {limit:UInt64};

-- name: insta_stories
select account.profile_id as id, account.profile_id as profile_id, account.handle as handle, 5 as priority
from beat_replica.instagram_account as account final
where account.profile_id in ({connected})
order by id
limit {limit:UInt64};

-- name: insta_story_insights
-- They can be asked for until a story is a day old.
select post.post_id as id, post.post_id as post_id, post.profile_id as profile_id, 5 as priority
from beat_replica.instagram_post_simple as post final
where post.post_type in ('story', 'STORY') and post.publish_time > now() - interval 24 hour
  and post.profile_id in ({connected})
order by post.publish_time, id
limit {limit:UInt64};

-- name: insta_followers
-- Collected or viewed accounts of whose followers no sample of 1,000, or nearly all, was taken in 90 days.
select
    account.profile_id as id, account.profile_id as profile_id, account.handle as handle,
    if(('INSTAGRAM', account.profile_id) in ({viewed}), 8, 5) as priority
from beat_replica.instagram_account as account final
left join (
    select target_profile_id as profile_id, uniqExact(source_profile_id) as edges
    from _e.profile_relationship_log_events
    where platform = 'INSTAGRAM' and event_timestamp > now() - interval 90 day
    group by target_profile_id
) as sample on sample.profile_id = account.profile_id
where account.state = 'active' and ifNull(sample.edges, 0) < least(1000, 0.9 * ifNull(account.followers, 2000))
  and (('INSTAGRAM', account.profile_id) in ({viewed}) or ('INSTAGRAM', account.profile_id) in ({collected}))
order by priority desc, account.followers desc, id
limit {limit:UInt64};

-- name: insta_following
select
    account.profile_id as id, account.profile_id as profile_id, account.handle as handle,
    if(('INSTAGRAM', account.profile_id) in ({viewed}), 8, 5) as priority
from beat_replica.instagram_account as account final
left join (
    select source_profile_id as profile_id, uniqExact(target_profile_id) as edges
    from _e.profile_relationship_log_events
    where platform = 'INSTAGRAM' and event_timestamp > now() - interval 90 day
    group by source_profile_id
) as sample on sample.profile_id = account.profile_id
where account.state = 'active' and ifNull(sample.edges, 0) < least(1000, 0.9 * ifNull(account.following, 2000))
  and (('INSTAGRAM', account.profile_id) in ({viewed}) or ('INSTAGRAM', account.profile_id) in ({collected}))
order by priority desc, account.followers desc, id
limit {limit:UInt64};

-- name: insta_hashtag_posts
-- Hashtags that open keyword collections name.
select lower(word) as id, word as hashtag, 5 as priority
from (
    select arrayJoin(keywords) as word
    from coffee_replica.keyword_collection final
    where has(platforms, 'INSTAGRAM') and (to_date is null or to_date >= today())
)
where match(word, '^[#＃]?[^\\s#＃/?]{1,100}$')
group by id, hashtag
order by id
limit 1 by id
limit {limit:UInt64};

-- name: insta_comments
select item.post_shortcode as id, item.post_shortcode as shortcode, 5 as priority
from coffee_replica.post_collection_item as item final
where item.platform = 'INSTAGRAM' and item.collection_id in ({open_collections})
group by item.post_shortcode
order by max(item.created_at) desc, id
limit {limit:UInt64};

-- name: insta_likes
select item.post_shortcode as id, item.post_shortcode as shortcode, 5 as priority
from coffee_replica.post_collection_item as item final
where item.platform = 'INSTAGRAM' and item.collection_id in ({open_collections})
group by item.post_shortcode
order by max(item.created_at) desc, id
limit {limit:UInt64};

-- name: yt_profiles_basic
select
    channel_id as id, channel_id as handle,
    multiIf(('YOUTUBE', channel_id) in ({viewed}), 8, ('YOUTUBE', channel_id) in ({collected}), 5, 0) as priority
from beat_replica.youtube_account final
where state = 'active' and scraped_at < now() - interval 7 day
order by priority desc, scraped_at, id
limit {limit:UInt64};

-- name: yt_posts_by_channel
-- Collected or viewed channels of which no video was read within a day.
select
    account.channel_id as id, account.channel_id as channel_id, 1 as pages_max,
    if(('YOUTUBE', account.channel_id) in ({viewed}), 8, 5) as priority
from beat_replica.youtube_account as account final
where account.state = 'active'
  and (('YOUTUBE', account.channel_id) in ({viewed}) or ('YOUTUBE', account.channel_id) in ({collected}))
  and account.channel_id not in (
    select assumeNotNull(channel_id) from beat_replica.youtube_post_simple final
    where channel_id is not null and scraped_at > now() - interval 1 day
)
order by priority desc, id
limit {limit:UInt64};

-- name: yt_posts_collections
select id, id as video_ids, greatest(priority, 5) as priority
from dbt.mart_staging_collection_due
where platform = 'YOUTUBE' and kind = 'POST' and due_at <= now()
order by priority desc, due_at, id
limit {limit:UInt64};

-- name: yt_posts_by_playlist
-- The uploads of collected or viewed channels of which we know fewer videos than they have.
select
    account.channel_id as id, concat('UU', substring(account.channel_id, 3)) as playlist_id,
    if(('YOUTUBE', account.channel_id) in ({viewed}), 8, 5) as priority
from beat_replica.youtube_account as account final
left join (
    select channel_id, count() as known from beat_replica.youtube_post_simple final group by channel_id
) as posts on posts.channel_id = account.channel_id
where account.state = 'active' and startsWith(account.channel_id, 'UC') and account.uploads > ifNull(posts.known, 0)
  and (('YOUTUBE', account.channel_id) in ({viewed}) or ('YOUTUBE', account.channel_id) in ({collected}))
order by priority desc, id
limit {limit:UInt64};

-- name: yt_posts_by_genre
-- The categories in which we follow channels, the fullest first.
select category as id, assumeNotNull(category) as category, 0 as priority
from beat_replica.youtube_account final
where category <> ''
group by category
order by count() desc, id
limit {limit:UInt64};

-- name: yt_posts_by_search
select lower(word) as id, any(word) as query, 5 as priority
from (
    select arrayJoin(keywords) as word
    from coffee_replica.keyword_collection final
    where has(platforms, 'YOUTUBE') and (to_date is null or to_date >= today())
)
where lengthUTF8(word) between 1 and 200
group by id
order by id
limit {limit:UInt64};

-- name: yt_post_type
-- Short or not is unknown, and its length leaves both open.
select
    video_id as id, video_id, channel_id,
    multiIf(('YOUTUBE', channel_id) in ({viewed}), 8, ('YOUTUBE', channel_id) in ({collected}), 5, 0) as priority
from beat_replica.youtube_post_simple final
where post_type is null and duration_s <= 180
order by priority desc, publish_time desc, id
limit {limit:UInt64};

-- name: yt_profile_insights
select assumeNotNull(account) as id, assumeNotNull(account) as channel_id, 5 as priority
from beat_replica.credential final
where source = 'ytanalytics' and enabled and account is not null
group by id, channel_id
order by id
limit {limit:UInt64};

-- name: yt_activities
select
    account.channel_id as id, account.channel_id as channel_id,
    if(('YOUTUBE', account.channel_id) in ({viewed}), 8, 5) as priority
from beat_replica.youtube_account as account final
where account.state = 'active'
  and (('YOUTUBE', account.channel_id) in ({viewed}) or ('YOUTUBE', account.channel_id) in ({collected}))
order by priority desc, id
limit {limit:UInt64};

-- name: yt_comments
select item.post_shortcode as id, item.post_shortcode as video_id, 5 as priority
from coffee_replica.post_collection_item as item final
where item.platform = 'YOUTUBE' and item.collection_id in ({open_collections})
group by item.post_shortcode
order by max(item.created_at) desc, id
limit {limit:UInt64};

-- name: yt_relationships
select
    account.channel_id as id, account.channel_id as channel_id,
    if(('YOUTUBE', account.channel_id) in ({viewed}), 8, 5) as priority
from beat_replica.youtube_account as account final
where account.state = 'active'
  and (('YOUTUBE', account.channel_id) in ({viewed}) or ('YOUTUBE', account.channel_id) in ({collected}))
order by priority desc, id
limit {limit:UInt64};
