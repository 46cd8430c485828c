-- description: One row per post: the latest known value of each metric, and its kind: what was told of it, else by its length
--   (2.11). Posts that got new snapshots are computed again.
-- materialized: incremental
-- tags: core
-- values: kind = reel, video, image, carousel, story, short, live
-- unique_key: platform, profile_id, shortcode
select
    platform,
    profile_id,
    shortcode,
    argMax(stg.post_id, stg.version) as post_id,
    max(at) as last_at,
    {% for name in ['publish_time', 'likes', 'comments', 'views', 'plays', 'reach', 'saved', 'shares', 'duration_s'] %}
    argMaxIf(stg.{{ name }}, stg.version, stg.{{ name }} is not null) as {{ name }},
    {% endfor %}
    coalesce(
        argMaxIf(stg.kind, stg.version, stg.kind is not null and stg.post_type is not null),
        argMaxIf(stg.kind, stg.version, stg.kind is not null)
    ) as kind,
    now64(6, 'UTC') as built_at
from {{ ref('stg_beat_post_log') }} as stg
{% if is_incremental() %}
where (platform, profile_id, shortcode) in (
    select platform, profile_id, shortcode from {{ ref('stg_beat_post_log') }} where inserted_at >= {{ watermark() }}
)
{% endif %}
group by platform, profile_id, shortcode
