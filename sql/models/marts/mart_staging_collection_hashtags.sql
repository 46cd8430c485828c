-- description: One row per collection, post and hashtag (2.8): of a list of posts its posts, of a list of profiles what its members
--   published in the last 90 days. With the post's views and its ER at publish.
-- materialized: table
-- tags: collections
-- unique_key: collection_id, platform, shortcode, tag
-- values: collection_type = POST, PROFILE
with posts as (
    {{ texts_of_collections() }}
)
select
    collection_type,
    collection_id,
    partner_id,
    platform,
    shortcode,
    profile_id,
    views,
    {{ believable('engagement_rate', '10000') }} as engagement_rate,
    tag
from (
    select *, arrayJoin({{ hashtag_keys('text') }}) as tag
    from posts
)
where tag != ''
