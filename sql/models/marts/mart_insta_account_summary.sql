-- description: One row per Instagram profile: how many of its posts are known, how many a week it publishes (2.9), and of the last 365 days the
--   mix of kinds, the local hour whose posts engage most, the share of sponsored posts (2.10) and how those engage against the others.
-- materialized: table
-- tags: daily
-- unique_key: profile_id
{{ account_summary('INSTAGRAM', 'select * from ' ~ ref('mart_insta_all_posts')) }}
