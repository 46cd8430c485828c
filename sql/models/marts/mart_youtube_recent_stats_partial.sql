-- description: One row per YouTube channel that got snapshots since mart_youtube_recent_stats was built: its readers prefer these.
--   The same SELECT (2.1, 2.2) over the freshest posts.
-- materialized: table
-- tags: recent
-- unique_key: channel_id
{{ recent_stats('YOUTUBE', freshest('mart_youtube_all_posts', 'channel_id'), touched_since('YOUTUBE', 'mart_youtube_recent_stats')) }}
