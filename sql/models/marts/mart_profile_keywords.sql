-- description: One row per profile of which words are known: up to 30 keywords with their weights (1 at most: a topic that a language
--   model named counts 1, the profile's commonest hashtag .8 and a rarer one less, a word of its bio .3), up to 20 brands of its
--   sponsored posts and up to 20 handles that its posts mention, the commonest first.
-- materialized: table
-- tags: daily
-- unique_key: platform, profile_id
with said as (
    select 'INSTAGRAM' as platform, profile_id, {{ folded('arrayJoin(topics)') }} as keyword, 1. as weight
    from {{ ref('mart_instagram_gpt_data') }} as gpt final
    union all
    select
        platform,
        profile_id,
        tag as keyword,
        .8 * posts / max(posts) over (partition by platform, profile_id) as weight
    from {{ ref('mart_social_profile_hashtags') }}
    where rank <= {{ var('profile_keywords') }}
    union all
    select
        platform,
        profile_id,
        -- A count in the expression ({4,30}) would make it 20 times as slow.
        arrayJoin(arrayDistinct(arrayFilter(
            word -> lengthUTF8(word) between 4 and 30, extractAll(lowerUTF8(assumeNotNull(bio)), '[\\p{L}\\p{M}]+')
        ))) as keyword,
        .3 as weight
    from {{ ref('mart_profile_attributes') }}
    where bio is not null
),
weighed as (
    select platform, profile_id, keyword, least(sum(weight), 1.) as weight
    from said
    where keyword != '' and keyword not in ({% for word in words_of_no_subject() %}'{{ word }}'{{ ', ' if not loop.last }}{% endfor %})
    group by platform, profile_id, keyword
),
keywords as (
    select
        platform,
        profile_id,
        CAST(
            arraySlice(arraySort(pair -> (-pair.2, pair.1), groupArray((keyword, weight))), 1, {{ var('profile_keywords') }}),
            'Array(Tuple(keyword String, weight Float64))'
        ) as keywords
    from weighed
    group by platform, profile_id
),
-- A mention is an @ that begins a word, so that no mail address is one.
mentioned as (
    select platform, profile_id, 'mentions' as kind, arrayJoin(arrayDistinct(arrayMap(handle -> lowerUTF8(handle), extractAll(text, '(?:^|[^\\p{L}\\p{N}._@])@([\\p{L}\\p{N}._-]*[\\p{L}\\p{N}_])')))) as name
    from (
        select 'INSTAGRAM' as platform, profile_id, ifNull(caption, '') as text from {{ ref('stg_beat_instagram_post') }}
        union all
        select 'YOUTUBE' as platform, channel_id as profile_id, concatWithSeparator(' ', ifNull(title, ''), ifNull(description, '')) as text from {{ ref('stg_beat_youtube_post') }}
    )
    where profile_id is not null and position(text, '@') > 0
    union all
    select platform, profile_id, 'brands' as kind, arrayJoin(brands) as name
    from {{ ref('mart_post_sponsored') }}
    where is_sponsored
),
named as (
    select platform, assumeNotNull(profile_id) as profile_id, kind, name, count() as posts
    from mentioned
    where name != '' and profile_id != ''
    group by platform, profile_id, kind, name
),
names as (
    select
        platform,
        profile_id,
        {%- for kind in ['brands', 'mentions'] %}
        arrayMap(pair -> pair.2, arraySlice(arraySort(groupArrayIf((-toInt64(posts), name), kind = '{{ kind }}')), 1, {{ var('profile_brands') }})) as {{ kind }}{{ ',' if not loop.last }}
        {%- endfor %}
    from named
    group by platform, profile_id
)
select
    assumeNotNull(coalesce(keywords.platform, names.platform)) as platform,
    assumeNotNull(coalesce(keywords.profile_id, names.profile_id)) as profile_id,
    keywords.keywords as keywords,
    names.brands as brands,
    names.mentions as mentions
from keywords
full join names on names.platform = keywords.platform and names.profile_id = keywords.profile_id
