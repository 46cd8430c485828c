-- description: One row per profile and local month: the last known value of that month for each attribute, imports included, as the
--   platform tells it. A category or language that is no subject ("Digital creator", und) replaces no other one (2.7). Guesses
--   of language models stand apart. Apart from the metrics, because text for every day would cost three times their memory.
-- materialized: incremental
-- tags: core
-- unique_key: platform, profile_id, month
select
    platform,
    profile_id,
    toStartOfMonth(date) as month,
    max(at) as last_at,
    {% for name in ['handle', 'full_name', 'profile_pic_url', 'website', 'country'] %}
    argMax(stg.{{ name }}, stg.version) as {{ name }},  -- of those that are not null
    {% endfor %}
    {% for name in ['category', 'language'] %}
    coalesce(
        argMaxIf(stg.{{ name }}, stg.version, lower(stg.{{ name }}) not in {{ no_subjects(name) }}),
        argMax(stg.{{ name }}, stg.version)
    ) as {{ name }},
    {% endfor %}
    now64(6, 'UTC') as built_at
from {{ ref('stg_beat_profile_log') }} as stg
where not {{ is_gpt('stg.source') }}
{% if is_incremental() %}
and (platform, profile_id, toStartOfMonth(date)) in (
    select platform, profile_id, toStartOfMonth(date) from {{ ref('stg_beat_profile_log') }} where {{ stands_since(watermark()) }}
)
{% endif %}
group by platform, profile_id, month
settings optimize_aggregation_in_order = 1
