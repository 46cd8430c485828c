-- description: One row per Instagram post of the profiles that got snapshots since mart_insta_all_posts was built: its readers prefer these.
--   The same SELECT. It empties itself when the full one is built.
-- materialized: table
-- tags: recent
-- values: kind = reel, video, image, carousel, story
-- unique_key: profile_id, publish_time, post_id
{{ all_posts('INSTAGRAM', touched_since('INSTAGRAM', 'mart_insta_all_posts')) }}
