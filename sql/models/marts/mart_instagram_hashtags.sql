-- description: One row per Instagram profile and hashtag (2.8) of its posts of the last 365 days: how many posts, of these and of the
--   last 90 days, their mean engagement (three or more known), and the spelling that it uses most.
-- materialized: table
-- tags: posts
-- unique_key: profile_id, tag
{{ profile_hashtags('INSTAGRAM', 'select profile_id, post_id, tag, label, publish_time from ' ~ ref('mart_instagram_post_hashtags')) }}
