{# Hashtags of profiles, one row per profile and tag; `tagged`: a SELECT of the profile, post, tag and label of each. Windows, not
   groups: they read what lies in the order of profiles as it lies, and of millions of groups keep none. #}
{% macro profile_hashtags(platform, tagged) -%}
{%- set key, post = (profile_key(platform), post_key(platform)) -%}
with tagged as (
    select *, row_number() over (partition by {{ key }}, tag, label) as nth_so_spelled
    from ({{ tagged }}) as tagged
    where publish_time >= {{ now_at() }} - interval 365 day and publish_time <= {{ now_at() }}
),
counted as (
    select
        {{ key }},
        {{ post }},
        tag,
        argMax(tagged.label, (tagged.nth_so_spelled, tagged.label)) over same as label,
        countIf(tagged.publish_time >= {{ now_at() }} - interval 90 day) over same as posts_90d,
        count() over same as posts_365d,
        row_number() over same as nth
    from tagged
    window same as (partition by {{ key }}, tag)
),
-- Fewer posts make no mean: most tags need none.
engaging as (
    select counted.{{ key }} as {{ key }}, counted.tag as tag, sum(posts.engagement) / count() as avg_engagement
    from {{ ref('mart_youtube_all_posts' if platform == 'YOUTUBE' else 'mart_insta_all_posts') }} as posts
    inner join (select {{ key }}, {{ post }}, tag from counted where posts_365d >= {{ var('min_posts') }}) as counted
        on counted.{{ post }} = posts.{{ post }}
    where posts.engagement is not null and posts.publish_time >= {{ now_at() }} - interval 365 day
    group by {{ key }}, tag
    having count() >= {{ var('min_posts') }}
)
select
    firsts.{{ key }} as {{ key }},
    firsts.tag as tag,
    firsts.label as label,
    firsts.posts_90d as posts_90d,
    firsts.posts_365d as posts_365d,
    engaging.avg_engagement as avg_engagement
from (select * from counted where nth = 1) as firsts
left join engaging on engaging.{{ key }} = firsts.{{ key }} and engaging.tag = firsts.tag
{%- endmacro %}

{# Hashtags of videos' titles and descriptions, as mart_instagram_post_hashtags has those of captions. #}
{% macro hashtags_of_videos() -%}
select channel_id, video_id, tag, any(written.label) as label, any(written.publish_time) as publish_time
from (
    select *, {{ hashtag_key('label') }} as tag
    from (
        select
            assumeNotNull(channel_id) as channel_id,
            video_id,
            assumeNotNull(publish_time) as publish_time,
            arrayJoin({{ hashtags_written("concatWithSeparator('\\n', ifNull(title, ''), ifNull(description, ''))") }}) as label
        from {{ ref('stg_beat_youtube_post') }}
        where channel_id is not null
            and publish_time is not null
            and (position(ifNull(title, ''), '#') > 0 or position(ifNull(description, ''), '#') > 0)
    )
) as written
where written.tag != ''
group by channel_id, video_id, tag
{%- endmacro %}
