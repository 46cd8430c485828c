-- description: One row per Instagram profile that a language model was asked about: its newest guess of each attribute, raw as it
--   was said (mart_profile_attributes makes it canonical, 2.7). Null: it did not say.
-- materialized: incremental
-- tags: audience
-- unique_key: profile_id
select
    profile_id,
    max(at) as last_at,
    {% for name in ['gender', 'age_band', 'country', 'city', 'category', 'language', 'model', 'prompt_version'] %}
    argMaxIf({{ json_text('dimensions', name) }}, stg.version, {{ json_text('dimensions', name) }} is not null) as {{ name }},
    {% endfor %}
    argMaxIf(
        {{ json_typed('dimensions', 'topics', 'Array(String)') }},
        stg.version,
        notEmpty({{ json_typed('dimensions', 'topics', 'Array(String)') }})
    ) as topics,
    argMaxIf(
        {{ json_typed('metrics', 'confidence', 'Nullable(Float64)') }},
        stg.version,
        {{ json_typed('metrics', 'confidence', 'Nullable(Float64)') }} between 0 and 1
    ) as confidence,
    now64(6, 'UTC') as built_at
from {{ ref('stg_beat_profile_log') }} as stg
where platform = 'INSTAGRAM' and {{ is_gpt('stg.source') }}
{% if is_incremental() %}
and profile_id in (
    select profile_id from {{ ref('stg_beat_profile_log') }}
    where {{ stands_since(watermark()) }} and {{ is_gpt('source') }}
)
{% endif %}
group by profile_id
