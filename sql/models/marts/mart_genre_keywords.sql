-- description: Words of a genre, one row per local month (today's), category and language ('' = all) and word, up to 1,000 by weight: how
--   many profiles use it, the mean of its weight over all profiles of the genre that have words, and its inverse document frequency
--   there, ln((1 + profiles of the genre) / (1 + those that use it)).
-- materialized: table
-- tags: genre
-- unique_key: month, category, language, word
with profiles as (
    select
        words.platform as platform,
        words.profile_id as profile_id,
        arrayJoin(arrayDistinct(['', ifNull(names.category, '')])) as category,
        arrayDistinct(['', ifNull(names.language, '')]) as languages,
        words.keywords as keywords
    from {{ ref('mart_profile_keywords') }} as words
    inner join {{ ref('mart_profile_attributes') }} as names on names.platform = words.platform and names.profile_id = words.profile_id
    where notEmpty(words.keywords)
),
grouped as (
    select category, arrayJoin(languages) as language, keywords
    from profiles
),
genres as (
    select category, language, count() as profiles from grouped group by category, language
),
used as (
    select category, language, tupleElement(keyword, 1) as word, tupleElement(keyword, 2) as weight
    from (select category, language, arrayJoin(keywords) as keyword from grouped) as said
),
summed as (
    select category, language, word, count() as profiles, sum(weight) as weight
    from used
    group by category, language, word
)
select
    toStartOfMonth({{ local_today() }}) as month,
    summed.category as category,
    summed.language as language,
    summed.word as word,
    summed.profiles as profiles,
    summed.weight / genres.profiles as weight,
    log((1 + genres.profiles) / (1 + summed.profiles)) as idf
from summed
inner join genres on genres.category = summed.category and genres.language = summed.language
order by weight desc, word
limit {{ var('genre_words') }} by summed.category, summed.language
