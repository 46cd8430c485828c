-- description: One row per profile and local month: the last known value of that month for each attribute, imports included.
--   Apart from the metrics, because text for every day would cost three times their memory.
-- materialized: incremental
-- tags: core
-- unique_key: platform, profile_id, month
select
    platform,
    profile_id,
    toStartOfMonth(date) as month,
    max(at) as last_at,
    {% for name in ['handle', 'full_name', 'profile_pic_url', 'category', 'language', 'country'] %}
    argMaxIf(stg.{{ name }}, stg.version, stg.{{ name }} is not null) as {{ name }},
    {% endfor %}
    now64(6, 'UTC') as built_at
from {{ ref('stg_profile_log') }} as stg
{% if is_incremental() %}
where (platform, profile_id, toStartOfMonth(date)) in (
    select platform, profile_id, toStartOfMonth(date) from {{ ref('stg_profile_log') }} where inserted_at >= {{ watermark() }}
)
{% endif %}
group by platform, profile_id, month
