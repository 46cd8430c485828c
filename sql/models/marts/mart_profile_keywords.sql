-- description: One row per profile of which words are known: up to 30 keywords with their weights (1 at most: a topic that a language
--   model named counts 1, the profile's commonest hashtag .8 and a rarer one less, a word of its bio .3), up to 20 brands of its
--   sponsored posts and up to 20 handles that its posts mention, the commonest first.
-- materialized: table
-- tags: daily
-- unique_key: platform, profile_id
with tagged as (
    select platform, profile_id, groupArray((tag, posts)) as tags, max(posts) as posts_max
    from {{ ref('mart_social_profile_hashtags') }}
    where rank <= {{ var('profile_keywords') }}
    group by platform, profile_id
),
said as (
    select 'INSTAGRAM' as platform, profile_id, arrayMap(topic -> ({{ folded('topic') }}, 1.), topics) as words
    from {{ ref('mart_instagram_gpt_data') }} as gpt final
    union all
    select platform, profile_id, arrayMap(used -> (used.1, .8 * used.2 / posts_max), tags) as words
    from tagged
    union all
    select
        platform,
        profile_id,
        -- A count in the expression ({4,30}) would make it 20 times as slow.
        arrayMap(word -> (word, .3), arrayDistinct(arrayFilter(
            word -> lengthUTF8(word) between 4 and 30, extractAll(lowerUTF8(assumeNotNull(bio)), '[\\p{L}\\p{M}]+')
        ))) as words
    from {{ ref('mart_profile_attributes') }}
    where bio is not null
),
-- A profile is one row: grouping by words, too, would keep millions of them. Equal ones stand together.
sorted as (
    select
        platform,
        profile_id,
        arraySort(arrayFilter(
            word -> word.1 not in ('', {% for word in words_of_no_subject() %}'{{ word }}'{{ ', ' if not loop.last }}{% endfor %}),
            groupArrayArray(said.words)
        )) as words,
        arrayEnumerateUniq(words.1) as nths
    from said
    group by platform, profile_id
),
keywords as (
    select
        platform,
        profile_id,
        arrayFilter((word, nth) -> nth = 1, words.1, nths) as names,
        arrayMap(weights -> least(arraySum(weights), 1.), arraySplit((weight, nth) -> nth = 1, words.2, nths)) as weights,
        CAST(
            arraySlice(arraySort(pair -> (-pair.2, pair.1), arrayZip(names, weights)), 1, {{ var('profile_keywords') }}),
            'Array(Tuple(keyword String, weight Float64))'
        ) as keywords
    from sorted
    where notEmpty(words)
),
-- A mention is an @ that begins a word, so that no mail address is one. Of ASCII, as most texts are, bytes tell letters: 5 times as fast.
mentioned as (
    select
        platform,
        profile_id,
        'mentions' as kind,
        arrayJoin(arrayDistinct(arrayMap(handle -> lowerUTF8(handle), if(
            length(text) = lengthUTF8(text),
            extractAll(text, '(?:^|[^A-Za-z0-9._@])@([A-Za-z0-9._-]*[A-Za-z0-9_])'),
            extractAll(text, '(?:^|[^\\p{L}\\p{N}._@])@([\\p{L}\\p{N}._-]*[\\p{L}\\p{N}_])')
        )))) as name
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
