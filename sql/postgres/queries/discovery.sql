-- What the discovery service reads. Handles are unique among living accounts only: after a rename two
-- rows may carry one handle, and the one that was seen last is meant.

-- name: find_instagram
select id, profile_id, handle, full_name, bio, followers, following, media_count, avg_likes, avg_comments,
       avg_views, engagement_rate, profile_type, is_verified, is_business, category, language, country, city,
       email, phone, profile_pic_url, audience_gender, audience_age, audience_location, keywords,
       source, scraped_at, updated_at
from instagram_account
where lower(handle) = lower(%(handle)s)
order by scraped_at desc
limit 1;

-- name: find_youtube
-- By channel id (which keeps its case) or by handle; the id wins.
select id, channel_id, handle, title, description, subscribers, uploads, total_views, avg_likes, avg_comments,
       avg_views, engagement_rate, plays, shorts_reach, country, category, language, profile_pic_url,
       source, scraped_at, updated_at
from youtube_account
where channel_id = %(handle)s or lower(handle) = lower(%(handle)s)
order by channel_id = %(handle)s desc, scraped_at desc
limit 1;

-- name: recent_instagram
-- The figures of the newest posts; the index on (profile_id, publish_time desc) has them in order.
select post_id, shortcode, post_type, likes, comments, plays, reach, impressions, shares, saved, publish_time
from instagram_post
where profile_id = %(profile_id)s and publish_time is not null
order by publish_time desc
limit 12;

-- name: recent_youtube
select video_id, post_type, title, views, likes, comments, duration_s, publish_time
from youtube_post
where channel_id = %(profile_id)s and publish_time is not null
order by publish_time desc
limit 15;

-- name: identify_instagram
-- Its id, and when it was crawled: null where it is only followed yet (an import named it).
select profile_id, scraped_at from (
    select profile_id, scraped_at, 0 as preference from instagram_account where lower(handle) = lower(%(handle)s)
    union all
    select profile_id, null, 1 from tracked_profile
    where platform = 'INSTAGRAM' and lower(handle) = lower(%(handle)s)
) as known
order by preference, scraped_at desc
limit 1;

-- name: identify_youtube
select profile_id, scraped_at from (
    select channel_id as profile_id, scraped_at, channel_id <> %(handle)s as by_handle, 0 as preference
    from youtube_account where channel_id = %(handle)s or lower(handle) = lower(%(handle)s)
    union all
    select profile_id, null, profile_id <> %(handle)s, 1 from tracked_profile
    where platform = 'YOUTUBE' and (profile_id = %(handle)s or lower(handle) = lower(%(handle)s))
) as known
order by by_handle, preference, scraped_at desc
limit 1;

-- name: lately_not_found
-- Whether a refresh of this key ended lately because there is no such profile.
select exists (
    select from scrape_request_log
    where idempotency_key = %(key)s and status = 'FAILED' and data ->> 'code' = 'PROFILE_NOT_FOUND'
      and scraped_at > now() - make_interval(secs => %(within_s)s));

-- name: posts_instagram
-- Newest first, undated ones last. The keys of the page before: null for the first page. A post of no year of Python's
-- stands at its bounds, as it is read (gcc/stores/odd_values.py): its cursor would bring it again, page after page.
select post_id, shortcode, profile_id, post_type, caption, hashtags, likes, comments, plays, reach, impressions,
       shares, saved, thumbnail_url, publish_time, source, scraped_at
from instagram_post
where profile_id = %(profile_id)s
  and (%(post_id)s::text is null
       or (least(greatest(publish_time, '0001-01-02 00:00+00'), '9999-12-30 00:00+00'), post_id)
          < (coalesce(%(publish_time)s::timestamptz, '0001-01-02 00:00+00'), %(post_id)s::text))
order by least(greatest(publish_time, '0001-01-02 00:00+00'), '9999-12-30 00:00+00') desc, post_id desc
limit %(limit)s;

-- name: posts_youtube
select video_id, channel_id, title, description, post_type, views, likes, comments, duration_s, tags,
       thumbnail_url, publish_time, source, scraped_at
from youtube_post
where channel_id = %(profile_id)s
  and (%(post_id)s::text is null
       or (least(greatest(publish_time, '0001-01-02 00:00+00'), '9999-12-30 00:00+00'), video_id)
          < (coalesce(%(publish_time)s::timestamptz, '0001-01-02 00:00+00'), %(post_id)s::text))
order by least(greatest(publish_time, '0001-01-02 00:00+00'), '9999-12-30 00:00+00') desc, video_id desc
limit %(limit)s;

-- name: count_instagram_posts
select count(*) from instagram_post where profile_id = %(profile_id)s;

-- name: count_youtube_posts
select count(*) from youtube_post where channel_id = %(profile_id)s;

-- name: series
-- The last known value of each day, week (from Monday) or month. {column} is one of a fixed list.
-- One row at least once the table was synced: as_of stands beside a null bucket where nothing is found.
select s.as_of, series.bucket, series.value
from sync_snapshot s
left join lateral (
    select distinct on (1) date_trunc(%(granularity)s, date::timestamp)::date as bucket, {column} as value
    from social_profile_time_series
    where platform = %(platform)s and profile_id = %(profile_id)s
      and date between %(first)s and %(last)s and {column} is not null
    order by 1, date desc
) series on true
where s.table_name = 'social_profile_time_series'
order by series.bucket;
