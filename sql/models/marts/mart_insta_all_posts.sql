-- description: One row per Instagram post whose time is known: last known figures, engagement (likes + comments, null where either is
--   unknown), the rate against the followers of its day (last known by then), whether it is an outlier among the
--   profile's (above Q3 + 3 IQR, from 8 known on) and sponsored (2.10). Hidden likes are null (2.1), images have no views (2.11).
--   What crawls write of posts they write to the log, too: nothing is read from the replica.
-- materialized: table
-- tags: hourly
-- values: kind = reel, video, image, carousel, story
-- unique_key: profile_id, publish_time, post_id
{{ all_posts('INSTAGRAM') }}
