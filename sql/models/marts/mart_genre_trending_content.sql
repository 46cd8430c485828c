-- description: The trending posts of a genre, one row per week of publication (its Monday, local), platform, category and language ('' = all)
--   and place up to 100 by score.
-- materialized: table
-- tags: hourly
-- unique_key: week, platform, category, language, rank
with grouped as (
    select
        platform,
        profile_id,
        shortcode,
        score,
        toMonday(toDate(publish_time, '{{ var("timezone") }}')) as week,
        arrayJoin(arrayDistinct(['', ifNull(content.category, '')])) as post_category,
        arrayDistinct(['', ifNull(content.language, '')]) as post_languages
    from {{ ref('mart_trending_content') }} as content
),
placed as (
    select
        platform,
        profile_id,
        shortcode,
        score,
        week,
        post_category as category,
        arrayJoin(post_languages) as language
    from grouped
)
select
    week,
    platform,
    category,
    language,
    row_number() over (partition by week, platform, category, language order by score desc, shortcode) as rank,
    profile_id,
    shortcode,
    score
from placed
qualify rank <= {{ var('genre_trending_rows') }}
