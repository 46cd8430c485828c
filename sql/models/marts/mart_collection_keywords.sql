-- description: One row per collection, of posts or of profiles, and word, 200 at most: in how many of its posts it stands, and how much
--   it tells of them: tf (the part of the posts with a text) x idf of the word in the collection's genre, the category that most
--   of its creators have (else of all). A word that the genre does not know is as rare there as its rarest one; without a
--   genre idf is 1. is_tracked: a keyword collection of the same tenant asks for it.
-- materialized: table
-- tags: collections
-- unique_key: collection_type, collection_id, word
-- values: collection_type = POST, PROFILE
with used as (
    select
        collection_type,
        collection_id,
        partner_id,
        word,
        count() as posts,
        count() / any(posts_with_text) as tf
    from {{ ref('mart_staging_collection_keywords') }} as spoken
    group by collection_type, collection_id, partner_id, word
),
creators as (
    select distinct collection_id, platform, profile_id from {{ ref('mart_staging_collection_keywords') }}
),
categories as (
    select creators.collection_id as collection_id, profile.category as category, count() as n
    from creators
    inner join {{ ref('mart_profile_attributes') }} as profile
        on profile.platform = creators.platform and profile.profile_id = creators.profile_id
    where profile.category is not null
    group by collection_id, category
    order by n desc, category
    limit 1 by collection_id
),
-- Of the newest month, over all languages.
genre_words as (
    select category, word, idf, max(idf) over (partition by category) as idf_of_rarest
    from {{ ref('mart_genre_keywords') }} as genre
    where genre.language = '' and genre.month in (select max(month) from {{ ref('mart_genre_keywords') }})
),
rarest as (
    select category, max(idf_of_rarest) as idf_of_rarest from genre_words group by category
),
genres as (
    -- A category without words of its own is compared with all: one row, null where there are no words.
    select
        listed.collection_id as collection_id,
        if(own.category is null, '', own.category) as category,
        if(own.category is null, overall.idf_of_rarest, own.idf_of_rarest) as idf_of_rarest
    from (select distinct collection_id from creators) as listed
    left join categories on categories.collection_id = listed.collection_id
    left join rarest as own on own.category = categories.category
    cross join (select maxOrNull(idf_of_rarest) as idf_of_rarest from rarest where category = '') as overall
),
tracked as (
    select distinct partner_id, arrayJoin(extractAll(lowerUTF8(arrayStringConcat(keywords, ' ')), '[\\p{L}\\p{M}]{4,30}')) as word
    from {{ ref('stg_coffee_keyword_collection') }}
),
scored as (
    select
        used.collection_type as collection_type,
        used.collection_id as collection_id,
        used.partner_id as partner_id,
        used.word as word,
        used.posts as posts,
        used.tf as tf,
        coalesce(genre_words.idf, genres.idf_of_rarest, 1) as idf,
        used.tf * coalesce(genre_words.idf, genres.idf_of_rarest, 1) as score,
        nullIf(genres.category, '') as category,
        toBool(tracked.word is not null) as is_tracked
    from used
    left join genres on genres.collection_id = used.collection_id
    left join genre_words on genre_words.category = genres.category and genre_words.word = used.word
    left join tracked on tracked.partner_id = used.partner_id and tracked.word = used.word
)
select *
from scored
order by score desc, word
limit 200 by collection_type, collection_id
