-- description: The posts of the last 30 days that stand out, up to 10,000 a platform, one row a post: z is how many standard deviations its
--   log(1 + views), or engagement where no views are known, is above the mean of those of its platform, kind and bucket of
--   followers (20 posts or more); score halves every 72 hours of its age.
-- materialized: table
-- tags: hourly
-- values: kind = reel, video, image, carousel, short, live
-- unique_key: platform, shortcode
with posts as (
    {% for platform, key, post, model in [('INSTAGRAM', 'profile_id', 'post_id', 'mart_insta_all_posts'), ('YOUTUBE', 'channel_id', 'video_id', 'mart_youtube_all_posts')] %}
    select
        '{{ platform }}' as platform,
        published.{{ key }} as profile_id,
        published.{{ post }} as post_id,
        published.shortcode as shortcode,
        published.kind as kind,
        published.publish_time as publish_time,
        published.views as views,
        published.likes as likes,
        published.comments as comments,
        published.engagement as engagement,
        published.engagement_rate as engagement_rate,
        {{ follower_bucket('latest.followers') }} as bucket
    from {{ ref(model) }} as published
    inner join ({{ latest_metrics(platform, ['followers']) }}) as latest on latest.profile_id = published.{{ key }}
    where published.publish_time >= {{ now_at() }} - interval {{ var('trending_days') }} day
        and published.publish_time <= {{ now_at() }}
        and ifNull(published.kind, '') != 'story'
    {{ 'union all' if not loop.last }}
    {% endfor %}
),
-- Views are compared with views, and engagement with engagement.
measured as (
    select
        *,
        views is not null as is_by_views,
        log(1 + coalesce(views, engagement)) as size,
        dateDiff('second', publish_time, {{ now_at() }}) / 3600 as age_h
    from posts
    where bucket is not null and kind is not null and coalesce(views, engagement) is not null
),
placed as (
    select
        *,
        count() over same as group_posts,
        avg(size) over same as group_mean,
        stddevPop(size) over same as group_deviation
    from measured
    window same as (partition by platform, kind, bucket, is_by_views)
),
scored as (
    select
        *,
        (size - group_mean) / group_deviation as z,
        z * exp2(-age_h / {{ var('trending_half_life_h') }}) as score
    from placed
    where group_posts >= {{ var('trending_group') }} and group_deviation > 0
)
select
    scored.platform as platform,
    scored.profile_id as profile_id,
    scored.post_id as post_id,
    scored.shortcode as shortcode,
    scored.kind as kind,
    scored.publish_time as publish_time,
    scored.views as views,
    scored.likes as likes,
    scored.comments as comments,
    scored.engagement as engagement,
    {{ believable('scored.engagement_rate', '10000') }} as engagement_rate,
    scored.bucket as bucket,
    names.handle as handle,
    names.category as category,
    names.language as language,
    names.country as country,
    scored.z as z,
    scored.age_h as age_h,
    scored.score as score
from (
    select * from scored order by score desc, shortcode limit {{ var('trending_rows') }} by platform
) as scored
left join {{ ref('mart_profile_attributes') }} as names
    on names.platform = scored.platform and names.profile_id = scored.profile_id
