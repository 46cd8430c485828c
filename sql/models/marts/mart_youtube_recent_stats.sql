-- description: One row per YouTube channel with posts of the last 180 days that are a day old: averages of its newest ones by rules 2.1
--   and 2.2: mean, median and typical (without outliers) of likes, comments and views; rates by followers and by views;
--   videos, shorts and lives apart, each over that kind's posts among the newest three times as many (2.11).
-- materialized: table
-- tags: hourly
-- unique_key: channel_id
{{ recent_stats('YOUTUBE', 'select * from ' ~ ref('mart_youtube_all_posts')) }}
