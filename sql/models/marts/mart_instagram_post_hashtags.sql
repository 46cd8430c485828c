-- description: One row per Instagram post and hashtag by rule 2.8: tag is what it is compared by, label how the post writes it first.
-- materialized: table
-- tags: posts
-- unique_key: profile_id, post_id, tag
{%- set posts %}
select
    assumeNotNull(post.profile_id) as profile_id,
    post.post_id as post_id,
    assumeNotNull(post.publish_time) as publish_time,
    assumeNotNull(post.caption) as text
from {{ ref('stg_beat_instagram_post') }} as post
where post.profile_id is not null and post.publish_time is not null and post.caption is not null
{%- endset %}
{{ post_hashtags('INSTAGRAM', posts) }}
