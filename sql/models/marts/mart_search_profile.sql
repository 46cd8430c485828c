-- description: One row per profile, as search reads it: what the profile marts know of it (2.1 to 2.15), its words, and its audience
--   as tokens kind:value:step in cumulative tens (.62 female: gender:female:10 to gender:female:60). row_hash is of the whole row but as_of.
-- materialized: table
-- tags: hourly
-- unique_key: platform, profile_id
with accounts as (
    {%- for platform in ['INSTAGRAM', 'YOUTUBE'] %}
    {%- set youtube = platform == 'YOUTUBE' %}
    select
        '{{ platform }}' as platform,
        {{ profile_key(platform) }} as profile_id,
        handle,
        {{ 'title' if youtube else 'full_name' }} as full_name,
        bio,
        profile_pic_url,
        profile_type,
        is_verified,
        has_email,
        has_phone,
        last_published_at as last_post_at,
        last_at as as_of,
        {{ 'subscribers' if youtube else 'followers' }} as followers,
        {{ 'null' if youtube else 'following' }} as following,
        {{ 'uploads' if youtube else 'media_count' }} as media_count,
        {{ 'null' if youtube else 'avg_reel_views' }} as avg_reel_views,
        {{ 'avg_views_short' if youtube else 'null' }} as avg_short_views,
        {%- for name in search_figures() %}
        {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('mart_youtube_account' if youtube else 'mart_instagram_account') }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),
persons as (
    select platform, profile_id, any(linked.person_id) as person_id
    from {{ ref('mart_linked_socials') }} as linked
    where linked.person_id is not null
    group by platform, profile_id
),
rows as (
    select
        accounts.platform as platform,
        accounts.profile_id as profile_id,
        accounts.* except (platform, profile_id),
        if(accounts.age_band is null, null, 'GPT') as age_band_basis,
        accounts.platform = 'YOUTUBE' or persons.person_id is not null as has_youtube,
        persons.person_id as person_id,
        arrayMap(pair -> pair.1, words.keywords) as keywords,
        tags.hashtags as hashtags,
        words.mentions as mentions,
        words.brands as brands,
        arrayConcat(
            {%- for kind in ['gender', 'age', 'country', 'city', 'language'] %}
            {{ audience_tokens(kind) }}{{ ',' if not loop.last }}
            {%- endfor %}
        ) as audience_tokens
    from accounts
    left join persons on persons.platform = accounts.platform and persons.profile_id = accounts.profile_id
    left join {{ ref('mart_profile_keywords') }} as words on words.platform = accounts.platform and words.profile_id = accounts.profile_id
    left join (
        select platform, profile_id, arrayMap(pair -> pair.2, arraySort(groupArray((rank, tag)))) as hashtags
        from {{ ref('mart_social_profile_hashtags') }}
        where rank <= {{ var('profile_keywords') }}
        group by platform, profile_id
    ) as tags on tags.platform = accounts.platform and tags.profile_id = accounts.profile_id
)
-- By name: where each column comes from is read, and what is in `*` would not be.
{%- set told = [
    'platform', 'profile_id', 'handle', 'full_name', 'bio', 'profile_pic_url', 'profile_type', 'is_verified', 'has_email', 'has_phone',
    'last_post_at', 'followers', 'following', 'media_count', 'avg_reel_views', 'avg_short_views',
    'age_band_basis', 'has_youtube', 'person_id', 'keywords', 'hashtags', 'mentions', 'brands', 'audience_tokens',
] %}
{%- set _ = told.extend(search_figures()) %}
select *, cityHash64(toJSONString(tuple({{ told | join(', ') }}))) as row_hash
from rows
