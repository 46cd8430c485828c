-- description: One row per YouTube channel and local month: subscribers and views at its end and what they gained since the calendar
--   month before (null without it), and the videos published within: their number, mean likes, comments and views (three known
--   values or more) and engagement rate by rule 2.1. The number is null where no video is known at all. Groups by rule 2.4.
-- materialized: incremental
-- strategy: partitions
-- partition_by: month
-- looks_back: all
-- tags: daily
-- unique_key: channel_id, month
{{ account_monthly('YOUTUBE') }}
