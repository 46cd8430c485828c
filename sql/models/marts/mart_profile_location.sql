-- description: One row per profile of which a place is known: country and city, each with its basis: what mart_profile_attributes
--   knows (CURATED, GPT, PLATFORM), else the place that most of its posts name (POSTS: three or more, and the most), else the
--   country of most of its audience (INSIGHTS: half of it or more, as its owner is told).
-- materialized: table
-- tags: daily
-- unique_key: platform, profile_id
{%- set kinds = ['country', 'city'] %}
with posted as (
    select platform, profile_id, country, city
    from {{ ref('mart_post_location') }}
    where profile_id != ''
),
{%- for kind in kinds %}
{{ kind }}_of_posts as (
    select platform, profile_id, argMax({{ kind }}, (posts, {{ kind }})) as {{ kind }}
    from (
        select platform, profile_id, {{ kind }}, count() as posts from posted where {{ kind }} is not null group by platform, profile_id, {{ kind }}
    )
    where posts >= {{ var('min_agreeing_posts') }}
    group by platform, profile_id
),
{%- endfor %}
country_of_audience as (
    select platform, profile_id, arrayFirstOrNull((place, share) -> share >= {{ var('audience_place_share') }}, mapKeys(country), mapValues(country)) as country
    from {{ ref('mart_audience_info') }}
    where basis = 'INSIGHTS'
),
joined as (
    select
        known.platform as platform,
        known.profile_id as profile_id,
        coalesce(known.country, country_of_posts.country, country_of_audience.country) as country,
        multiIf(known.country is not null, known.country_basis, country_of_posts.country is not null, 'POSTS', country_of_audience.country is not null, 'INSIGHTS', null) as country_basis,
        coalesce(known.city, city_of_posts.city) as city,
        multiIf(known.city is not null, known.city_basis, city_of_posts.city is not null, 'POSTS', null) as city_basis
    from {{ ref('mart_profile_attributes') }} as known
    left join country_of_posts on country_of_posts.platform = known.platform and country_of_posts.profile_id = known.profile_id
    left join city_of_posts on city_of_posts.platform = known.platform and city_of_posts.profile_id = known.profile_id
    left join country_of_audience on country_of_audience.platform = known.platform and country_of_audience.profile_id = known.profile_id
)
select * from joined where country is not null or city is not null
