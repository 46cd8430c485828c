-- description: One row per YouTube post of the channels that got snapshots since mart_youtube_all_posts was built: its readers prefer these.
--   The same SELECT. It empties itself when the full one is built.
-- materialized: table
-- tags: recent
-- values: kind = short, video, live
-- unique_key: channel_id, publish_time, video_id
{{ all_posts('YOUTUBE', touched_since('YOUTUBE', 'mart_youtube_all_posts')) }}
