-- Upserts of current state. They never overwrite newer, and a column unknown to the source keeps its value.

-- name: upsert_instagram_account
insert into instagram_account as old
    (id, profile_id, handle, full_name, bio, followers, following, media_count, avg_likes, avg_comments, avg_views,
     engagement_rate, profile_type, is_verified, is_business, category, language, country, city, profile_pic_url,
     source, scraped_at)
values
    (%(id)s, %(profile_id)s, %(handle)s, %(full_name)s, %(bio)s, %(followers)s, %(following)s, %(media_count)s,
     %(avg_likes)s, %(avg_comments)s, %(avg_views)s, %(engagement_rate)s, %(profile_type)s, %(is_verified)s,
     %(is_business)s, %(category)s, %(language)s, %(country)s, %(city)s, %(profile_pic_url)s, %(source)s, %(at)s)
on conflict (profile_id) do update set
    handle = excluded.handle,
    full_name = coalesce(excluded.full_name, old.full_name),
    bio = coalesce(excluded.bio, old.bio),
    followers = coalesce(excluded.followers, old.followers),
    following = coalesce(excluded.following, old.following),
    media_count = coalesce(excluded.media_count, old.media_count),
    avg_likes = excluded.avg_likes,
    avg_comments = excluded.avg_comments,
    avg_views = excluded.avg_views,
    engagement_rate = excluded.engagement_rate,
    profile_type = coalesce(excluded.profile_type, old.profile_type),
    is_verified = coalesce(excluded.is_verified, old.is_verified),
    is_business = coalesce(excluded.is_business, old.is_business),
    category = coalesce(excluded.category, old.category),
    language = coalesce(excluded.language, old.language),
    country = coalesce(excluded.country, old.country),
    city = coalesce(excluded.city, old.city),
    profile_pic_url = coalesce(excluded.profile_pic_url, old.profile_pic_url),
    source = excluded.source,
    scraped_at = excluded.scraped_at,
    updated_at = now()
where excluded.scraped_at >= old.scraped_at;

-- name: upsert_youtube_account
insert into youtube_account as old
    (id, channel_id, handle, title, description, subscribers, uploads, total_views, avg_likes, avg_comments, avg_views,
     engagement_rate, country, category, language, profile_pic_url, source, scraped_at)
values
    (%(id)s, %(profile_id)s, %(handle)s, %(title)s, %(description)s, %(subscribers)s, %(uploads)s, %(total_views)s,
     %(avg_likes)s, %(avg_comments)s, %(avg_views)s, %(engagement_rate)s, %(country)s, %(category)s, %(language)s,
     %(profile_pic_url)s, %(source)s, %(at)s)
on conflict (channel_id) do update set
    handle = coalesce(excluded.handle, old.handle),
    title = coalesce(excluded.title, old.title),
    description = coalesce(excluded.description, old.description),
    subscribers = coalesce(excluded.subscribers, old.subscribers),
    uploads = coalesce(excluded.uploads, old.uploads),
    total_views = coalesce(excluded.total_views, old.total_views),
    avg_likes = excluded.avg_likes,
    avg_comments = excluded.avg_comments,
    avg_views = excluded.avg_views,
    engagement_rate = excluded.engagement_rate,
    country = coalesce(excluded.country, old.country),
    category = coalesce(excluded.category, old.category),
    language = coalesce(excluded.language, old.language),
    profile_pic_url = coalesce(excluded.profile_pic_url, old.profile_pic_url),
    source = excluded.source,
    scraped_at = excluded.scraped_at,
    updated_at = now()
where excluded.scraped_at >= old.scraped_at;

-- name: upsert_instagram_posts
insert into instagram_post as old
    (post_id, shortcode, profile_id, post_type, caption, hashtags, likes, comments, plays, thumbnail_url, publish_time,
     source, scraped_at)
select post_id, shortcode, %(profile_id)s, post_type, caption, hashtags::text[], likes, comments, plays, thumbnail_url,
       publish_time, %(source)s, %(at)s
from unnest(%(post_ids)s::text[], %(shortcodes)s::text[], %(post_types)s::text[], %(captions)s::text[],
            %(hashtags)s::text[], %(likes)s::bigint[], %(comments)s::bigint[], %(plays)s::bigint[],
            %(thumbnail_urls)s::text[], %(publish_times)s::timestamptz[])
     as post (post_id, shortcode, post_type, caption, hashtags, likes, comments, plays, thumbnail_url, publish_time)
order by post_id
on conflict (post_id) do update set
    shortcode = excluded.shortcode,
    post_type = coalesce(excluded.post_type, old.post_type),
    caption = coalesce(excluded.caption, old.caption),
    hashtags = coalesce(excluded.hashtags, old.hashtags),
    likes = coalesce(excluded.likes, old.likes),
    comments = coalesce(excluded.comments, old.comments),
    plays = coalesce(excluded.plays, old.plays),
    thumbnail_url = coalesce(excluded.thumbnail_url, old.thumbnail_url),
    publish_time = coalesce(excluded.publish_time, old.publish_time),
    source = excluded.source,
    scraped_at = excluded.scraped_at,
    updated_at = now()
where excluded.scraped_at >= old.scraped_at;

-- name: upsert_youtube_posts
insert into youtube_post as old
    (video_id, channel_id, title, description, post_type, views, likes, comments, duration_s, tags, thumbnail_url,
     publish_time, source, scraped_at)
select video_id, %(profile_id)s, title, description, post_type, views, likes, comments, duration_s, tags::text[],
       thumbnail_url, publish_time, %(source)s, %(at)s
from unnest(%(post_ids)s::text[], %(titles)s::text[], %(descriptions)s::text[], %(post_types)s::text[],
            %(views)s::bigint[], %(likes)s::bigint[], %(comments)s::bigint[], %(durations_s)s::integer[],
            %(tags)s::text[], %(thumbnail_urls)s::text[], %(publish_times)s::timestamptz[])
     as post (video_id, title, description, post_type, views, likes, comments, duration_s, tags, thumbnail_url,
              publish_time)
order by video_id
on conflict (video_id) do update set
    title = coalesce(excluded.title, old.title),
    description = coalesce(excluded.description, old.description),
    post_type = coalesce(excluded.post_type, old.post_type),
    views = coalesce(excluded.views, old.views),
    likes = coalesce(excluded.likes, old.likes),
    comments = coalesce(excluded.comments, old.comments),
    duration_s = coalesce(excluded.duration_s, old.duration_s),
    tags = coalesce(excluded.tags, old.tags),
    thumbnail_url = coalesce(excluded.thumbnail_url, old.thumbnail_url),
    publish_time = coalesce(excluded.publish_time, old.publish_time),
    source = excluded.source,
    scraped_at = excluded.scraped_at,
    updated_at = now()
where excluded.scraped_at >= old.scraped_at;

-- name: track
insert into tracked_profile (platform, profile_id, handle)
select distinct on (platform, profile_id) platform, profile_id, handle
from unnest(%(platforms)s::text[], %(profile_ids)s::text[], %(handles)s::text[]) as seen (platform, profile_id, handle)
order by platform, profile_id
on conflict (platform, profile_id) do update set handle = excluded.handle
where tracked_profile.handle is distinct from excluded.handle;
