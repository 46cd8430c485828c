-- description: One row per YouTube channel and hashtag (2.8) in titles and descriptions of its videos of the last 365 days: how many
--   videos, of these and of the last 90 days, their mean engagement (three or more known), and the spelling that it uses most.
-- materialized: table
-- tags: posts
-- unique_key: channel_id, tag
{{ profile_hashtags('YOUTUBE', hashtags_of_videos()) }}
