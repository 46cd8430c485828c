-- description: One row per post in a tenant's list that has comments, and one for all of a collection's (platform is
--   ALL, shortcode ''): how many were seen, how many of them were judged to be what, and score: the mean of theirs (-1 to 1).
-- materialized: table
-- tags: collections
-- unique_key: collection_id, platform, shortcode
-- values: platform = INSTAGRAM, YOUTUBE, ALL
with comments as (
    -- Each counts for its post, and for all.
    select
        post.collection_id as collection_id,
        post.partner_id as partner_id,
        arrayJoin([(toString(post.platform), post.shortcode), ('ALL', '')]) as counted_for,
        comment.sentiment as sentiment,
        comment.score as score
    from {{ ref('mart_staging_collection_post') }} as post
    inner join {{ ref('mart_staging_collection_comment') }} as comment
        on comment.platform = post.platform and comment.shortcode = post.shortcode
)
select
    collection_id,
    partner_id,
    counted_for.1 as platform,
    counted_for.2 as shortcode,
    count() as comments,
    countIf(sentiment = 'POSITIVE') as positive,
    countIf(sentiment = 'NEUTRAL') as neutral,
    countIf(sentiment = 'NEGATIVE') as negative,
    avgOrNull(comments.score) as score
from comments
group by collection_id, partner_id, platform, shortcode
