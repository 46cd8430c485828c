-- description: One row per YouTube channel: its latest known metrics and attributes, and what is known of its posts.
-- materialized: table
-- tags: core
-- unique_key: channel_id
with metrics as (
    select
        profile_id,
        {% for name in ['followers', 'following', 'media_count', 'views', 'avg_likes', 'avg_comments', 'avg_views', 'engagement_rate'] %}
        argMaxIf(monthly.{{ name }}, monthly.month, monthly.{{ name }} is not null) as {{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('mart_profile_monthly') }} as monthly final
    where platform = 'YOUTUBE'
    group by profile_id
),
posts as (
    select profile_id, count() as posts_known, max(publish_time) as last_published_at
    from {{ ref('mart_post_latest') }} final
    where platform = 'YOUTUBE'
    group by profile_id
)
select
    a.profile_id as channel_id,
    a.handle as handle,
    a.full_name as title,
    a.profile_pic_url as profile_pic_url,
    a.category as category,
    a.language as language,
    a.country as country,
    m.followers as subscribers,
    m.media_count as uploads,
    m.views as total_views,
    m.avg_likes as avg_likes,
    m.avg_comments as avg_comments,
    m.avg_views as avg_views,
    m.engagement_rate as engagement_rate,
    p.posts_known as posts_known,
    p.last_published_at as last_published_at,
    a.last_at as last_at
from {{ ref('mart_profile_attributes') }} as a
inner join metrics as m on m.profile_id = a.profile_id
left join posts as p on p.profile_id = a.profile_id
where a.platform = 'YOUTUBE'
