-- description: One row per profile of whose audience a language model guessed: of each kind of parts the newest valid guess, as shares
--   that sum to 1. Valid: every part 0 or more, together 1 or 100 (within 5 %); an invalid one never replaces a valid one.
--   Empty: nothing valid was said. prompt_version: of the newest valid guess.
-- materialized: incremental
-- tags: audience
-- unique_key: platform, profile_id
with guesses as (
    select
        platform,
        profile_id,
        at,
        version,
        {{ json_text('dimensions', 'prompt_version') }} as prompt_version
        {%- for kind in audience_kinds() %},
        {{ json_typed('dimensions', 'audience_' ~ kind, 'Map(String, Float64)') }} as {{ kind }}_parts
        {%- endfor %}
    from {{ ref('stg_beat_profile_log') }} as stg
    where {{ is_gpt('stg.source') }}
    {% if is_incremental() %}
        and (platform, profile_id) in (
            select platform, profile_id from {{ ref('stg_beat_profile_log') }}
            where {{ stands_since(watermark()) }} and {{ is_gpt('source') }}
        )
    {% endif %}
),
judged as (
    select
        *
        {%- for kind in audience_kinds() %},
        arrayAll(share -> share >= 0, mapValues({{ kind }}_parts))
        and (
            abs(arraySum(mapValues({{ kind }}_parts)) - 1) <= .05
            or abs(arraySum(mapValues({{ kind }}_parts)) - 100) <= 5
        ) as {{ kind }}_valid
        {%- endfor %}
    from guesses
),
newest as (
    select
        platform,
        profile_id,
        {%- for kind in audience_kinds() %}
        argMaxIf({{ kind }}_parts, version, {{ kind }}_valid) as {{ kind }}_newest,
        {%- endfor %}
        argMaxIf(judged.prompt_version, version, {{ audience_kinds() | join('_valid or ') }}_valid) as prompt_version,
        maxIf(toNullable(at), {{ audience_kinds() | join('_valid or ') }}_valid) as last_at
    from judged
    group by platform, profile_id
)
select
    platform,
    profile_id,
    {%- for kind in audience_kinds() %}
    {{ shares_of(kind ~ '_newest') }} as {{ kind }},
    {%- endfor %}
    prompt_version,
    last_at,
    now64(6, 'UTC') as built_at
from newest
