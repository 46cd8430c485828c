-- description: One row per profile and local month: the last known value of that month for each metric, as the days have it: a
--   0 stands only if nothing else came.
-- materialized: incremental
-- tags: core
-- unique_key: platform, profile_id, month
select
    platform,
    profile_id,
    toStartOfMonth(date) as month,
    max(last_at) as last_at,
    {% for name in ['followers', 'following', 'media_count', 'views', 'avg_likes', 'avg_comments', 'avg_views', 'engagement_rate'] %}
    argMaxIf(daily.{{ name }}, {{ zeros_first('daily.' ~ name, 'toUInt16(daily.date)') }}, daily.{{ name }} is not null) as {{ name }},
    {% endfor %}
    now64(6, 'UTC') as built_at
from {{ ref('mart_profile_daily') }} as daily final
{% if is_incremental() %}
where (platform, profile_id, toStartOfMonth(date)) in (
    select platform, profile_id, toStartOfMonth(date) from {{ ref('mart_profile_daily') }} where built_at >= {{ watermark() }}
)
{% endif %}
group by platform, profile_id, month
