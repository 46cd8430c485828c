-- description: One row per Instagram profile: its figures as they were last announced, and since when (built_at, seq). A run adds those that
--   were touched since the last one, or that the full mart knows otherwise, where row_hash differs; the same SELECT as there.
-- materialized: incremental
-- tags: recent
-- unique_key: profile_id
{{ changed_accounts('INSTAGRAM') }}
