{# What marts of collections share. #}

{# Sums over rows of mart_collection_post, each of what is known: null where nothing is. ER is the sum of engagement over that of
   followers, of the posts of which both are known (a ratio of sums, as in 2.1); er_by_views likewise. #}
{% macro sums_of_posts() -%}
countIf(found) as posts,
count(shortcode) as items,
uniqExact(profile_id) as creators,
{%- for name in ['likes', 'comments', 'views', 'reach', 'saves', 'shares', 'engagement'] %}
sumOrNull(post.{{ name }}) as {{ name }},
{%- endfor %}
sumOrNullIf(post.followers_at_publish, post.engagement is not null) as followers,
{{ believable(
    'sumOrNullIf(post.engagement, post.followers_at_publish is not null) / nullIf(sumOrNullIf(post.followers_at_publish, post.engagement is not null), 0)',
    'followers'
) }} as engagement_rate,
{{ believable(
    'sumOrNullIf(post.engagement, post.views > 0) / nullIf(sumOrNullIf(post.views, post.engagement is not null), 0)',
    'followers'
) }} as er_by_views,
countIf(is_sponsored) as sponsored_posts,
sumOrNull(post.emv) as emv
{%- endmacro %}

{# The posts of all collections with their texts, one row per collection and post: those of a list of posts, and of a list of
   profiles what its members published lately. Stories never count. Everybody's posts stand left of each join: they are read
   past what is few, never kept. #}
{% macro texts_of_collections() -%}
select
    listed.collection_type as collection_type,
    listed.collection_id as collection_id,
    listed.partner_id as partner_id,
    listed.platform as platform,
    listed.shortcode as shortcode,
    listed.profile_id as profile_id,
    listed.views as views,
    listed.engagement_rate as engagement_rate,
    texts.text as text
from (
    select 'INSTAGRAM' as platform, shortcode, ifNull(caption, '') as text
    from {{ ref('stg_beat_instagram_post') }}
    union all
    select
        'YOUTUBE' as platform,
        video_id as shortcode,
        concatWithSeparator('\n', ifNull(title, ''), ifNull(description, '')) as text
    from {{ ref('stg_beat_youtube_post') }}
) as texts
inner join (
    select 'POST' as collection_type, collection_id, partner_id, platform, shortcode, profile_id, views, engagement_rate
    from {{ ref('mart_collection_post') }}
    where found and ifNull(kind, '') != 'story'
    union all
    select
        'PROFILE' as collection_type,
        member.collection_id,
        member.partner_id,
        member.platform,
        recent.shortcode,
        recent.profile_id,
        recent.views,
        recent.engagement_rate
    from (
        select 'INSTAGRAM' as platform, profile_id, shortcode, publish_time, kind, views, engagement_rate
        from {{ ref('mart_insta_all_posts') }}
        union all
        select 'YOUTUBE' as platform, channel_id as profile_id, shortcode, publish_time, kind, views, engagement_rate
        from {{ ref('mart_youtube_all_posts') }}
    ) as recent
    inner join {{ ref('mart_staging_collection_profile') }} as member
        on member.platform = recent.platform and member.profile_id = recent.profile_id
    where recent.publish_time >= {{ now_at() }} - interval {{ var('collection_posts_days') }} day
        and ifNull(recent.kind, '') != 'story'
) as listed
    on listed.platform = texts.platform and listed.shortcode = texts.shortcode
limit 1 by listed.collection_id, listed.platform, listed.shortcode
{%- endmacro %}

{# Words that a text speaks of, each once: of four letters or more, as those of profiles' keywords; links and handles are none.
   Splitting is 27 times as fast as finding words by their letters (200,000 captions: .4 s for 10). #}
{% macro words_of(text) -%}
arrayDistinct(arrayFilter(
    word -> lengthUTF8(word) between 4 and 30 and word not in ('{{ words_of_no_subject() | join("', '") }}'),
    splitByRegexp(
        '[^\\p{L}\\p{M}]+',
        lowerUTF8(normalizeUTF8NFKC(replaceRegexpAll({{ text }}, '(?:https?://|www[.]|@)[^ \\n]+', ' ')))
    )
))
{%- endmacro %}
