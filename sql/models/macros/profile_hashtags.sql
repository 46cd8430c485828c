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

{# Each tag of each post once, with its first spelling. `posts`: a SELECT of the profile, post, publish_time and text of those that have a
   text with a #. A post is one row: no grouping is needed. #}
{% macro post_hashtags(platform, posts) -%}
select {{ profile_key(platform) }}, {{ post_key(platform) }}, publish_time, used.1 as tag, used.2 as label
from (
    select
        {{ profile_key(platform) }},
        {{ post_key(platform) }},
        publish_time,
        arrayJoin(arrayFilter((used, nth) -> nth = 1 and used.1 != '', arrayZip(keys, labels), arrayEnumerateUniq(keys))) as used
    from (
        select *, {{ hashtags_written('text') }} as labels, arrayMap(label -> {{ hashtag_key('label') }}, labels) as keys
        from ({{ posts }}) as told
        where position(text, '#') > 0 or position(text, '＃') > 0
    ) as written
) as tags
{%- endmacro %}

{# Hashtags of videos' titles and descriptions, as mart_instagram_post_hashtags has those of captions. #}
{% macro hashtags_of_videos() -%}
{%- set posts %}
select
    assumeNotNull(channel_id) as channel_id,
    video_id,
    assumeNotNull(video.publish_time) as publish_time,
    concatWithSeparator('\n', ifNull(title, ''), ifNull(description, '')) as text
from {{ ref('stg_beat_youtube_post') }} as video
where video.channel_id is not null and video.publish_time is not null
{%- endset %}
{{ post_hashtags('YOUTUBE', posts) }}
{%- endmacro %}
