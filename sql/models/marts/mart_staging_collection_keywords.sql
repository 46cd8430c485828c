-- description: One row per collection, post and word of its text (four letters or more, no handle, link or word of no subject): of a
--   list of posts its posts, of a list of profiles what its members published in the last 90 days. posts_with_text: how many of
--   the collection's posts say anything.
-- materialized: table
-- tags: collections
-- unique_key: collection_id, platform, shortcode, word
-- values: collection_type = POST, PROFILE
with posts as (
    {{ texts_of_collections() }}
),
spoken as (
    select *, {{ words_of('text') }} as words
    from posts
),
counted as (
    select *, count() over (partition by collection_id) as posts_with_text
    from spoken
    where notEmpty(words)
)
select
    collection_type,
    collection_id,
    partner_id,
    platform,
    shortcode,
    profile_id,
    posts_with_text,
    arrayJoin(words) as word
from counted
