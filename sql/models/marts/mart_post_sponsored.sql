-- description: One row per post of which there is a text or a flag: how sure it is that somebody paid for it (2.10), 1 - Π (1 - weight) over
--   the evidence: what the platform says, tags that disclose it or hint at it, phrases, codes, affiliate links, businesses named. It
--   is sponsored from .7 on. brands: the businesses that it names.
-- materialized: table
-- tags: posts
-- unique_key: platform, shortcode
{%- set signs = [
    ('PLATFORM', '1.', 'is_paid'),
    ('DISCLOSURE_TAG', var('sponsored_weight_disclosed'), 'hasAny(tags, ' ~ sql_list(disclosure_tags()) ~ ')'),
] %}
{%- for evidence, weight, found in sponsorship_phrases() %}
{%- set _ = signs.append((evidence, var(weight), found)) %}
{%- endfor %}
{%- set _ = signs.extend([
    ('AFFILIATE_LINK', var('sponsored_weight_affiliate'), has_affiliate_link('text')),
    ('HINTING_TAG', var('sponsored_weight_hint'), 'hasAny(tags, ' ~ sql_list(hinting_tags()) ~ ')'),
    ('BUSINESS', var('sponsored_weight_business'), 'hasAny(mentions, ' ~ sql_list(known_businesses() | map('first')) ~ ')'),
]) %}
with texts as (
    select
        instagram.platform as platform,
        instagram.shortcode as shortcode,
        instagram.post_id as post_id,
        assumeNotNull(instagram.profile_id) as profile_id,
        instagram.caption as text
    from {{ ref('stg_beat_instagram_post') }} as instagram
    where instagram.caption is not null and instagram.profile_id is not null
    union all
    select
        youtube.platform as platform,
        youtube.video_id as shortcode,
        youtube.video_id as post_id,
        assumeNotNull(youtube.channel_id) as profile_id,
        concatWithSeparator('\n', ifNull(youtube.title, ''), ifNull(youtube.description, '')) as text
    from {{ ref('stg_beat_youtube_post') }} as youtube
    where coalesce(youtube.title, youtube.description) is not null and youtube.channel_id is not null
),
-- Snapshots that say so: few of all.
told as (
    select
        platform,
        shortcode,
        argMax(log.profile_id, log.version) as profile_id,
        argMaxIf(log.is_paid, log.version, log.is_paid is not null) as is_paid,
        groupUniqArrayArray(log.tagged) as tagged
    from {{ ref('stg_beat_post_log') }} as log
    where (log.is_paid is not null or notEmpty(log.tagged)) and log.shortcode != ''
    group by platform, shortcode
),
-- Of Instagram's posts the tags are known; those of videos are looked for here.
disclosing as (
    select post_id, groupUniqArray(tag) as tags
    from {{ ref('mart_instagram_post_hashtags') }} as used
    where has({{ sql_list(disclosure_tags()) }}, tag) or has({{ sql_list(hinting_tags()) }}, tag)
    group by post_id
),
seen as (
    select
        assumeNotNull(coalesce(texts.platform, told.platform)) as platform,
        assumeNotNull(coalesce(texts.shortcode, told.shortcode)) as shortcode,
        assumeNotNull(coalesce(texts.profile_id, told.profile_id)) as profile_id,
        ifNull(texts.post_id, '') as post_id,
        lowerUTF8(ifNull(texts.text, '')) as text,
        ifNull(told.is_paid, false) as is_paid,
        ifNull(told.tagged, []) as tagged
    from texts
    full join told on told.platform = texts.platform and told.shortcode = texts.shortcode
),
named as (
    select
        seen.platform as platform,
        seen.shortcode as shortcode,
        seen.profile_id as profile_id,
        seen.text as text,
        seen.is_paid as is_paid,
        if(seen.platform = 'YOUTUBE', {{ hashtag_keys('text') }}, ifNull(disclosing.tags, [])) as tags,
        arrayConcat(
            if(position(text, '@') = 0, [], arrayMap(name -> trim(both '@.' from name), extractAll(text, '@[a-z0-9._]+'))),
            arrayMap(name -> lower(name), tagged)
        ) as mentions
    from seen
    left join disclosing on disclosing.post_id = seen.post_id
),
judged as (
    select
        platform,
        shortcode,
        profile_id,
        -- Each kind of evidence counts once.
        [
            {%- for evidence, weight, found in signs %}
            if({{ found }}, {{ weight }}, 0.){{ ',' if not loop.last }}
            {%- endfor %}
        ] as weights,
        mentions
    from named
)
select
    platform,
    shortcode,
    profile_id,
    1 - arrayProduct(arrayMap(weight -> 1 - weight, weights)) as score,
    score >= {{ var('sponsored_from') }} as is_sponsored,
    -- By number: eight words of each post would take as long as to search its text.
    arrayMap(
        nth -> [{% for evidence, weight, found in signs %}'{{ evidence }}'{{ ', ' if not loop.last }}{% endfor %}][nth],
        arrayFilter((nth, weight) -> weight > 0, arrayEnumerate(weights), weights)
    ) as evidence,
    arraySort(arrayDistinct(arrayMap(
        name -> transform(name, {{ sql_list(known_businesses() | map('first')) }}, {{ sql_list(known_businesses() | map('last')) }}, ''),
        arrayFilter(name -> has({{ sql_list(known_businesses() | map('first')) }}, name), mentions)
    ))) as brands
from judged
limit 1 by platform, shortcode
