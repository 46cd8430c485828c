-- description: One row per Instagram profile that got snapshots since mart_insta_account_summary was built: its readers prefer these.
--   The same SELECT (2.9, 2.10) over the freshest posts.
-- materialized: table
-- tags: recent
-- unique_key: profile_id
{{ account_summary('INSTAGRAM', freshest('mart_insta_all_posts', 'profile_id'), touched_since('INSTAGRAM', 'mart_insta_account_summary')) }}
