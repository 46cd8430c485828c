-- description: One row per profile of whose audience anything is told: gender, age, country, city (50 at most) and language, each as
--   shares that sum to 1, of the best who told that kind (bases): its owner's insights, else 100 followers or more, else a
--   guess. An empty map: nobody did. basis: the best of all; sample_size: of how many followers; confidence: HIGH of insights,
--   MEDIUM of 400 followers or more, else LOW.
-- materialized: table
-- tags: audience
-- unique_key: platform, profile_id
-- values: basis = INSIGHTS, FOLLOWERS, GUESS
with insights as (
    select platform, profile_id, 3 as basis, metric, period_end, breakdown
    from {{ ref('stg_beat_instagram_profile_insights') }}
    union all
    select platform, channel_id as profile_id, 3 as basis, metric, period_end, breakdown
    from {{ ref('stg_beat_youtube_profile_insights') }}
),
newest as (
    select platform, profile_id, basis, metric, breakdown
    from insights
    where metric in ('{{ audience_metrics() | join("', '") }}') and notEmpty(breakdown)
    order by period_end desc
    limit 1 by platform, profile_id, metric
),
-- A part of two kinds at once ("F.18-24") is a part of each.
insight_parts as (
    select
        platform,
        profile_id,
        basis,
        metric,
        arrayJoin(if(metric in ('audience_gender_age', 'audience_age_gender'), splitByChar('.', part), [part])) as raw,
        breakdown[part] as weight
    from (select platform, profile_id, basis, metric, breakdown, arrayJoin(mapKeys(breakdown)) as part from newest)
),
told as (
    select
        platform,
        profile_id,
        basis,
        multiIf(
            {%- for metric, kind in audience_metrics().items() if kind %}
            metric = '{{ metric }}', '{{ kind }}',
            {%- endfor %}
            match(raw, '[0-9]'), 'age',
            'gender'
        ) as kind,
        raw,
        weight
    from insight_parts
    {%- for basis, model, kinds in [(2, 'mart_audience_info_follower', ['gender', 'language']), (1, 'mart_audience_info_gpt', audience_kinds())] %}
    {%- for kind in kinds %}
    union all
    select platform, profile_id, {{ basis }} as basis, '{{ kind }}' as kind, part as raw, {{ kind }}[part] as weight
    from (
        select platform, profile_id, {{ kind }}, arrayJoin(mapKeys({{ kind }})) as part
        from {{ ref(model) }} as {{ 'sampled' if basis == 2 else 'guessed' }} final
        {%- if basis == 2 %}
        where n >= {{ var('min_followers_told') }}
        {%- endif %}
    )
    {%- endfor %}
    {%- endfor %}
),
words as (
    select kind, raw, canonical from {{ ref('mart_genre_dictionary') }} where kind in ('country', 'language', 'city')
),
canonical as (
    select
        told.platform as platform,
        told.profile_id as profile_id,
        told.basis as basis,
        told.kind as kind,
        {{ audience_part('told.kind', 'told.raw', 'words.canonical') }} as part,
        told.weight as weight
    from (
        select
            *,
            multiIf(
                kind = 'language', {{ dictionary_key('language', 'raw') }},
                kind = 'city', {{ folded("splitByChar(',', raw)[1]") }},
                {{ dictionary_key('country', 'raw') }}
            ) as folded
        from told
    ) as told
    left join words on words.kind = told.kind and words.raw = told.folded
    where told.weight > 0
),
parts as (
    select platform, profile_id, basis, kind, assumeNotNull(named.part) as part, sum(named.weight) as weight
    from canonical as named
    where named.part is not null
    group by platform, profile_id, basis, kind, part
    order by weight desc, part
    limit 50 by platform, profile_id, basis, kind
),
maps as (
    select
        platform,
        profile_id,
        kind,
        basis,
        mapFromArrays(groupArray(part), groupArray(weight)) as weights
    from parts
    group by platform, profile_id, kind, basis
    order by basis desc
    limit 1 by platform, profile_id, kind
),
best as (
    select
        platform,
        profile_id,
        {%- for kind in audience_kinds() %}
        anyIf(weights, kind = '{{ kind }}') as {{ kind }}_weights,
        {%- endfor %}
        mapFromArrays(
            groupArray(kind),
            groupArray(multiIf(basis = 3, 'INSIGHTS', basis = 2, 'FOLLOWERS', 'GUESS'))
        ) as bases,
        max(basis) as best_basis
    from maps
    group by platform, profile_id
)
select
    best.platform as platform,
    best.profile_id as profile_id,
    {%- for kind in audience_kinds() %}
    {{ shares_of('best.' ~ kind ~ '_weights') }} as {{ kind }},
    {%- endfor %}
    mapSort(best.bases) as bases,
    multiIf(best.best_basis = 3, 'INSIGHTS', best.best_basis = 2, 'FOLLOWERS', 'GUESS') as basis,
    if(best.best_basis = 2, sampled.n, null) as sample_size,
    multiIf(
        best.best_basis = 3, 'HIGH',
        best.best_basis = 2 and sampled.n >= {{ var('medium_followers') }}, 'MEDIUM',
        'LOW'
    ) as confidence
from best
left join (
    select platform, profile_id, n from {{ ref('mart_audience_info_follower') }} as sampled final
) as sampled
    on sampled.platform = best.platform and sampled.profile_id = best.profile_id
