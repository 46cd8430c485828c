-- description: One row per Instagram post and hashtag by rule 2.8: tag is what it is compared by, label how the post writes it first.
-- materialized: table
-- tags: posts
-- unique_key: profile_id, post_id, tag
with posts as (
    select
        assumeNotNull(post.profile_id) as profile_id,
        post.post_id as post_id,
        assumeNotNull(post.publish_time) as publish_time,
        assumeNotNull(post.caption) as caption
    from {{ ref('stg_beat_instagram_post') }} as post
    where post.profile_id is not null
        and post.publish_time is not null
        and (position(ifNull(post.caption, ''), '#') > 0 or position(ifNull(post.caption, ''), '＃') > 0)
),
written as (
    select
        profile_id,
        post_id,
        publish_time,
        labels,
        arrayMap(label -> {{ hashtag_key('label') }}, labels) as keys
    from (select profile_id, post_id, publish_time, {{ hashtags_written('caption') }} as labels from posts) as told
),
-- A post is one row: no grouping is needed to have each of its tags once.
tags as (
    select
        profile_id,
        post_id,
        publish_time,
        arrayJoin(arrayFilter((used, nth) -> nth = 1 and used.1 != '', arrayZip(keys, labels), arrayEnumerateUniq(keys))) as used
    from written
)
select profile_id, post_id, used.1 as tag, used.2 as label, publish_time
from tags
