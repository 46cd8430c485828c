-- description: One row per Instagram profile: its latest known metrics, its attributes (2.7), the averages of its newest posts (2.1; as the
--   crawl told them where the posts are not modelled yet), growth (2.3), grade (2.6), cadence (2.9), audience, quality (2.13),
--   media value and price (2.15). A partial mart's row goes before the full one's. row_hash is of what is ours alone.
-- materialized: table
-- tags: core
-- unique_key: profile_id
{{ accounts('INSTAGRAM') }}
