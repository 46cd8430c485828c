-- description: One row per profile some of whose followers we know: how many (n), which part of all that is, their genders by given
--   name, the languages of the credible ones (scored 0) by the script of their names, each as shares that sum to 1 of those who
--   tell, null below 100 of them; kmv: the 1,024 smallest hashes of their ids, from which overlaps are estimated.
-- materialized: incremental
-- tags: audience
-- unique_key: platform, profile_id
{% set touched %}
    select platform, creator_profile_id from {{ ref('stg_beat_profile_relationship_log') }} where inserted_at >= {{ watermark() }}
    union distinct
    select platform, profile_id from {{ source('_e', 'creator_follower_score') }} where insert_timestamp >= {{ watermark() }}
    union distinct
    select platform, profile_id from {{ ref('mart_profile_monthly') }} where built_at >= {{ watermark() }}
{% endset %}
with followers as (
    -- Whose id is not told is known by the handle.
    select
        edge.platform as platform,
        edge.creator_profile_id as profile_id,
        if(edge.follower_profile_id = '', lower(ifNull(edge.follower_handle, '')), edge.follower_profile_id) as follower,
        argMaxIf(lower(edge.follower_handle), edge.version, edge.follower_handle is not null) as handle,
        argMaxIf(edge.follower_name, edge.version, edge.follower_name is not null) as name
    from {{ ref('stg_beat_profile_relationship_log') }} as edge
    where edge.creator_profile_id != ''
    {% if is_incremental() %}
        and (edge.platform, edge.creator_profile_id) in ({{ touched }})
    {% endif %}
    group by platform, profile_id, follower
    having follower != ''
),
scores as (
    select
        platform,
        profile_id,
        lower(follower_handle) as handle,
        argMax(scored.score, scored.event_timestamp) as score
    from {{ source('_e', 'creator_follower_score') }} as scored final
    group by platform, profile_id, handle
),
named as (
    select
        followers.platform as platform,
        followers.profile_id as profile_id,
        followers.follower as follower,
        extract(lowerUTF8(normalizeUTF8NFKC(ifNull(followers.name, ''))), '^[^a-z]*([a-z]+)') as given_name,
        if(scores.score = 0, {{ language_of_script("ifNull(followers.name, '')") }}, null) as language
    from followers
    left join scores
        on scores.platform = followers.platform
        and scores.profile_id = followers.profile_id
        and scores.handle = followers.handle
),
counted as (
    select
        platform,
        profile_id,
        count(follower) as n,
        countIf(given_name in ('{{ female_names() | join("', '") }}')) as female,
        countIf(given_name in ('{{ male_names() | join("', '") }}')) as male,
        count(language) as speakers,
        sumMapIf([assumeNotNull(language)], [toUInt64(1)], language is not null) as languages,
        arraySlice(arraySort(groupUniqArray(sipHash64(follower))), 1, {{ var('kmv_size') }}) as kmv
    from named
    group by platform, profile_id
),
audiences as (
    select
        platform,
        profile_id,
        argMaxIf(monthly.followers, monthly.month, monthly.followers is not null) as followers
    from {{ ref('mart_profile_monthly') }} as monthly final
    where (platform, profile_id) in (select platform, profile_id from counted)
    group by platform, profile_id
)
select
    counted.platform as platform,
    counted.profile_id as profile_id,
    counted.n as n,
    if(counted.n > audiences.followers, 1, counted.n / nullIf(audiences.followers, 0)) as coverage,
    counted.female + counted.male as names_told,
    if(
        counted.female + counted.male >= {{ var('min_followers_told') }},
        map('female', counted.female / (counted.female + counted.male), 'male', counted.male / (counted.female + counted.male)),
        cast(map() as Map(String, Float64))
    ) as gender,
    counted.speakers as languages_told,
    if(
        counted.speakers >= {{ var('min_followers_told') }},
        mapSort(mapFromArrays(counted.languages.1, arrayMap(of -> of / counted.speakers, counted.languages.2))),
        cast(map() as Map(String, Float64))
    ) as language,
    counted.kmv as kmv,
    now64(6, 'UTC') as built_at
from counted
left join audiences on audiences.platform = counted.platform and audiences.profile_id = counted.profile_id
