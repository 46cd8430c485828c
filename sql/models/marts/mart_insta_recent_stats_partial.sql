-- description: One row per Instagram profile that got snapshots since mart_insta_recent_stats was built: its readers prefer these.
--   The same SELECT (2.1, 2.2) over the freshest posts.
-- materialized: table
-- tags: recent
-- unique_key: profile_id
{{ recent_stats('INSTAGRAM', freshest('mart_insta_all_posts', 'profile_id'), touched_since('INSTAGRAM', 'mart_insta_recent_stats')) }}
