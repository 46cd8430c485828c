{# Hashtags of profiles, one row per profile and tag; `tagged`: a SELECT of the profile, post, tag and label of each. #}
{% macro profile_hashtags(platform, tagged) -%}
{%- set key, post = (profile_key(platform), post_key(platform)) -%}
with tagged as (
    select * from ({{ tagged }}) as tagged
    where publish_time >= {{ now_at() }} - interval 365 day and publish_time <= {{ now_at() }}
),
engaging as (
    select {{ post }}, engagement
    from {{ ref('mart_youtube_all_posts' if platform == 'YOUTUBE' else 'mart_insta_all_posts') }} as posts
    where engagement is not null and publish_time >= {{ now_at() }} - interval 365 day
),
spelled as (
    select
        tagged.{{ key }} as {{ key }},
        tagged.tag as tag,
        tagged.label as label,
        count() as posts,
        countIf(tagged.publish_time >= {{ now_at() }} - interval 90 day) as posts_90d,
        count(engaging.engagement) as posts_engaging,
        sum(engaging.engagement) as engagement
    from tagged
    left join engaging on engaging.{{ post }} = tagged.{{ post }}
    group by {{ key }}, tag, label
)
select
    {{ key }},
    tag,
    argMax(spelled.label, (spelled.posts, spelled.label)) as label,
    sum(spelled.posts_90d) as posts_90d,
    sum(spelled.posts) as posts_365d,
    if(sum(posts_engaging) >= {{ var('min_posts') }}, sum(spelled.engagement) / sum(posts_engaging), null) as avg_engagement
from spelled
group by {{ key }}, tag
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
