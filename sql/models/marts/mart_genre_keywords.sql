-- description: Words of a genre, one row per local month (today's), category and language ('' = all) and word, up to 1,000 by weight: how
--   many profiles use it, the mean of its weight over all profiles of the genre that have words, and its inverse document frequency
--   there, ln((1 + profiles of the genre) / (1 + those that use it)).
-- materialized: table
-- tags: genre
-- unique_key: month, category, language, word
with profiles as (
    select
        ifNull(names.category, '') as own_category,
        ifNull(names.language, '') as own_language,
        words.keywords as keywords
    from {{ ref('mart_profile_keywords') }} as words
    inner join {{ ref('mart_profile_attributes') }} as names on names.platform = words.platform and names.profile_id = words.profile_id
    where notEmpty(words.keywords)
),
-- A profile has one category and one language: what all have is the sum of what each has. Decimals, whose sum does not depend on
-- their order: equal words stay equal.
used_in_own as (
    select own_category, own_language, keyword.1 as word, count() as profiles, sum(toDecimal64(keyword.2, 12)) as weight
    from (select own_category, own_language, arrayJoin(keywords) as keyword from profiles) as said
    group by own_category, own_language, word
),
used as (
    select category, language, word, sum(each.profiles) as profiles, toFloat64(sum(each.weight)) as weight
    from (
        select word, profiles, weight, of_category as category, arrayJoin(arrayDistinct(['', own_language])) as language
        from (select *, arrayJoin(arrayDistinct(['', own_category])) as of_category from used_in_own) as of_categories
    ) as each
    group by category, language, word
),
genres as (
    select of_category as category, language, count() as profiles
    from (
        select of_category, arrayJoin(arrayDistinct(['', own_language])) as language
        from (select own_language, arrayJoin(arrayDistinct(['', own_category])) as of_category from profiles) as of_categories
    ) as each
    group by category, language
),
heaviest as (
    select * from used order by weight desc, word limit {{ var('genre_words') }} by category, language
)
select
    toStartOfMonth({{ local_today() }}) as month,
    heaviest.category as category,
    heaviest.language as language,
    heaviest.word as word,
    heaviest.profiles as profiles,
    heaviest.weight / genres.profiles as weight,
    log((1 + genres.profiles) / (1 + heaviest.profiles)) as idf
from heaviest
inner join genres on genres.category = heaviest.category and genres.language = heaviest.language
