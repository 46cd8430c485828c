-- description: One row per post: the latest known value of each metric. Posts that got new snapshots are computed again.
-- materialized: incremental
-- tags: core
-- unique_key: platform, profile_id, shortcode
select
    platform,
    profile_id,
    shortcode,
    argMax(stg.post_id, stg.version) as post_id,
    max(at) as last_at,
    {% for name in ['publish_time', 'likes', 'comments', 'views', 'plays'] %}
    argMaxIf(stg.{{ name }}, stg.version, stg.{{ name }} is not null) as {{ name }},
    {% endfor %}
    now64(6, 'UTC') as built_at
from {{ ref('stg_post_log') }} as stg
{% if is_incremental() %}
where (platform, profile_id, shortcode) in (
    select platform, profile_id, shortcode from {{ ref('stg_post_log') }} where inserted_at >= {{ watermark() }}
)
{% endif %}
group by platform, profile_id, shortcode
