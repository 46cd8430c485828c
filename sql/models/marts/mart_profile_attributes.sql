-- description: One row per profile: the latest known value of each attribute, whichever snapshot named it, imports included.
--   Category, language, country and gender are canonical by rule 2.7: what people of ours know (CURATED) before what a language
--   model guessed (GPT), before what the platform tells (PLATFORM), and of each the newest that is a subject; its basis stands
--   beside it. An unknown spelling is null.
-- materialized: table
-- tags: core
-- unique_key: platform, profile_id
{%- set kinds = ['category', 'language', 'country', 'gender'] %}
{%- set told_by_platform = ['category', 'language', 'country'] %}
-- Every word that people of ours or a language model told of a profile; a greater weight goes before a less one.
with told as (
    {%- for kind in kinds %}
    select 'INSTAGRAM' as platform, profile_id, '{{ kind }}' as kind, assumeNotNull({{ kind }}) as raw, 200000 as weight
    from {{ ref('mart_instagram_gpt_data') }} as gpt final
    where {{ kind }} is not null
    union all
    select 'INSTAGRAM' as platform, profile_id, '{{ kind }}' as kind, assumeNotNull(toString({{ kind }})) as raw, 300000 as weight
    from {{ ref('stg_coffee_view_instagram_account_lite') }}
    where {{ kind }} is not null
    union all
    select 'YOUTUBE' as platform, profile_id, '{{ kind }}' as kind, assumeNotNull(toString({{ kind }})) as raw, 300000 as weight
    from {{ ref('stg_coffee_view_youtube_account_lite') }}
    where {{ kind }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),
-- Each spelling is looked up once, not once a profile.
words as (
    select
        spelled.kind as kind,
        spelled.raw as raw,
        assumeNotNull(dictionary.canonical) as canonical
    from (
        select kind, raw, if(kind = 'language', {{ dictionary_key('language', 'raw') }}, {{ folded('raw') }}) as folded
        from (select distinct kind, raw from told)
    ) as spelled
    inner join {{ ref('mart_genre_dictionary') }} as dictionary
        on dictionary.kind = spelled.kind and dictionary.raw = spelled.folded
    where dictionary.canonical is not null
),
better as (
    select
        told.platform as platform,
        told.profile_id as profile_id,
        {%- for kind in kinds %}
        argMaxIf(toNullable(words.canonical), told.weight, told.kind = '{{ kind }}') as {{ kind }},
        {{ basis_of("maxIf(told.weight, told.kind = '" ~ kind ~ "')") }} as {{ kind }}_basis{{ ',' if not loop.last }}
        {%- endfor %}
    from told
    inner join words on words.kind = told.kind and words.raw = told.raw
    group by platform, profile_id
),
latest as (
    select
        platform,
        profile_id,
        {%- for name in ['handle', 'full_name', 'profile_pic_url', 'website'] %}
        argMax(monthly.{{ name }}, monthly.month) as {{ name }},  -- of those that are not null
        {%- endfor %}
        {%- for kind in told_by_platform %}
        argMax(told_{{ kind }}.canonical, monthly.month) as {{ kind }},
        {%- endfor %}
        max(monthly.last_at) as last_at
    from {{ ref('mart_attribute_monthly') }} as monthly final
    {%- for kind in told_by_platform %}
    left join ({{ canonical_words(kind, 'mart_attribute_monthly') }}) as told_{{ kind }} on told_{{ kind }}.told = monthly.{{ kind }}
    {%- endfor %}
    group by platform, profile_id
),
-- Of what stands in no snapshot's columns the current state tells.
accounts as (
    select platform, profile_id, bio, city, profile_type, is_verified, has_email, has_phone
    from {{ ref('stg_beat_instagram_account') }}
    union all
    select platform, channel_id as profile_id, description as bio, null, null, null, null, null
    from {{ ref('stg_beat_youtube_account') }}
),
cities as (
    select platform, profile_id, argMax(told.city, told.weight) as city, {{ basis_of('max(told.weight)') }} as city_basis
    from (
        select platform, profile_id, trimBoth(assumeNotNull(toString(city))) as city, 100000 as weight
        from accounts where city is not null
        union all
        select 'INSTAGRAM' as platform, profile_id, trimBoth(assumeNotNull(city)) as city, 200000 as weight
        from {{ ref('mart_instagram_gpt_data') }} as gpt final where city is not null
        {%- for platform in ['instagram', 'youtube'] %}
        union all
        select '{{ platform | upper }}' as platform, profile_id, trimBoth(assumeNotNull(toString(city))) as city, 300000 as weight
        from {{ ref('stg_coffee_view_' ~ platform ~ '_account_lite') }} where city is not null
        {%- endfor %}
    ) as told
    where told.city != ''
    group by platform, profile_id
)
select
    latest.platform as platform,
    latest.profile_id as profile_id,
    latest.handle as handle,
    latest.full_name as full_name,
    latest.profile_pic_url as profile_pic_url,
    accounts.bio as bio,
    latest.website as website,
    accounts.profile_type as profile_type,
    accounts.is_verified as is_verified,
    accounts.has_email as has_email,
    accounts.has_phone as has_phone,
    {%- for kind in kinds %}
    {%- if kind in told_by_platform %}
    coalesce(better.{{ kind }}, latest.{{ kind }}) as {{ kind }},
    coalesce(better.{{ kind }}_basis, if(latest.{{ kind }} is null, null, 'PLATFORM')) as {{ kind }}_basis,
    {%- else %}
    better.{{ kind }} as {{ kind }},
    better.{{ kind }}_basis as {{ kind }}_basis,
    {%- endif %}
    {%- endfor %}
    cities.city as city,
    cities.city_basis as city_basis,
    gpt.age_band as age_band,
    latest.last_at as last_at
from latest
left join better on better.platform = latest.platform and better.profile_id = latest.profile_id
left join accounts on accounts.platform = latest.platform and accounts.profile_id = latest.profile_id
left join cities on cities.platform = latest.platform and cities.profile_id = latest.profile_id
left join (select 'INSTAGRAM' as platform, profile_id, age_band from {{ ref('mart_instagram_gpt_data') }} as guess final) as gpt
    on gpt.platform = latest.platform and gpt.profile_id = latest.profile_id
