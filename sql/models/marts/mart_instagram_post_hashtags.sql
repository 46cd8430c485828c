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
tags as (
    select profile_id, post_id, publish_time, label, {{ hashtag_key('label') }} as tag
    from (
        select profile_id, post_id, publish_time, arrayJoin({{ hashtags_written('caption') }}) as label
        from posts
    ) as written
)
select profile_id, post_id, tag, any(label) as label, any(publish_time) as publish_time
from tags
where tag != ''
group by profile_id, post_id, tag
