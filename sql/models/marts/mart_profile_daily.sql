-- description: One row per profile and local day: the last known value of that day for each metric; a 0
--   stands only if nothing else came that day, since sources tell it where they know nothing.
--   A day whose snapshots changed is computed again from all of them, so late, imported and doubled events are right.
-- materialized: incremental
-- tags: core
-- unique_key: platform, profile_id, date
select
    platform,
    profile_id,
    date,
    max(at) as last_at,
    {% for name in ['followers', 'following', 'media_count', 'views', 'avg_likes', 'avg_comments', 'avg_views', 'engagement_rate'] %}
    argMaxIf(stg.{{ name }}, {{ zeros_first('stg.' ~ name, 'stg.version') }}, stg.{{ name }} is not null) as {{ name }},
    {% endfor %}
    now64(6, 'UTC') as built_at
from {{ ref('stg_beat_profile_log') }} as stg
{% if is_incremental() %}
where (platform, profile_id, date) in (
    select platform, profile_id, date from {{ ref('stg_beat_profile_log') }} where inserted_at >= {{ watermark() }}
)
{% endif %}
group by platform, profile_id, date
