-- description: One row per Instagram profile and local month: followers at its end and their gain since the calendar month before (null
--   without it), and the posts published within (no stories): their number, mean likes, comments and views (three known values or
--   more) and engagement rate by rule 2.1. The number of posts is null where none is known at all. Groups by rule 2.4.
-- materialized: incremental
-- strategy: partitions
-- partition_by: month
-- looks_back: all
-- tags: daily
-- unique_key: profile_id, month
{{ account_monthly('INSTAGRAM') }}
