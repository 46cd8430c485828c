{# One row per profile of a platform and local month: what it had at the month's end and gained since the calendar month before, and
   the posts published within, by the rules of averages (2.1). #}
{% macro account_monthly(platform) -%}
{%- set youtube = platform == 'YOUTUBE' -%}
{%- set key = 'channel_id' if youtube else 'profile_id' -%}
with known as (
    select profile_id, month, followers, following, media_count, views
    from {{ ref('mart_profile_monthly') }} as monthly final
    where platform = '{{ platform }}'
    {% if is_incremental() %}
        and month >= addMonths({{ period_from() }}, -1) and month < {{ period_to() }}
    {% endif %}
),
members as (
    select *
    from known
    {% if is_incremental() %}
    where {{ in_period('month') }}
    {% endif %}
),
before as (
    select profile_id, addMonths(known.month, 1) as month, followers, views
    from known
),
groups as (
    select * from ({{ groups_by_month() }}) as told where platform = '{{ platform }}'
),
of_month as (
    select
        {{ key }} as profile_id,
        toStartOfMonth(toDate(publish_time, '{{ var("timezone") }}')) as month,
        count() as published,
        {% for name in ['likes', 'comments', 'views'] %}
        if(count({{ name }}) >= {{ var('min_posts') }}, avg({{ name }}), null) as avg_{{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('mart_youtube_all_posts' if youtube else 'mart_insta_all_posts') }} as published
    where ifNull(kind, '') != 'story'
    {% if is_incremental() %}
        and {{ in_period("toDate(publish_time, '" ~ var('timezone') ~ "')") }}
    {% endif %}
    group by profile_id, month
)
select
    members.profile_id as {{ key }},
    members.month as month,
    groups.category as category,
    groups.language as language,
    groups.country as country,
    members.followers as followers,
    members.followers - before.followers as follower_gain,
    members.following as following,
    members.media_count as media_count,
    {% if youtube %}
    members.views as total_views,
    members.views - before.views as views_gained,
    {% endif %}
    -- Of whom no post is known, nobody knows how many there were.
    if(
        members.profile_id in (select {{ key }} from {{ ref('mart_youtube_all_posts' if youtube else 'mart_insta_all_posts') }} as published),
        ifNull(of_month.published, 0),
        null
    ) as posts,
    of_month.avg_likes as avg_likes,
    of_month.avg_comments as avg_comments,
    of_month.avg_views as avg_views,
    {{ believable('(of_month.avg_likes + of_month.avg_comments) / nullIf(members.followers, 0)', 'members.followers') }} as engagement_rate
from members
asof left join groups on groups.profile_id = members.profile_id and groups.month <= members.month
left join before on before.profile_id = members.profile_id and before.month = members.month
left join of_month on of_month.profile_id = members.profile_id and of_month.month = members.month
{%- endmacro %}
