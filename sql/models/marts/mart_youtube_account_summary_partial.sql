-- description: One row per YouTube channel that got snapshots since mart_youtube_account_summary was built: its readers prefer these.
--   The same SELECT (2.9, 2.10) over the freshest posts.
-- materialized: table
-- tags: recent
-- unique_key: channel_id
{{ account_summary('YOUTUBE', freshest('mart_youtube_all_posts', 'channel_id'), touched_since('YOUTUBE', 'mart_youtube_account_summary')) }}
