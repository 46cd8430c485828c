-- description: One row per post that names a place: the name as told last, and its city and country by the gazetteer and the dictionary of
--   countries. The name and its parts between commas are looked up; a country that is named decides between cities of one name.
-- materialized: table
-- tags: posts
-- unique_key: platform, shortcode
with posts as (
    select
        platform,
        shortcode,
        argMax(log.profile_id, log.version) as profile_id,
        argMax(log.location, log.version) as name
    from {{ ref('stg_beat_post_log') }} as log
    where log.location is not null and log.shortcode != ''
    group by platform, shortcode
),
parts as (
    select name, arrayJoin(arrayDistinct(arrayConcat([{{ folded('name') }}], splitByChar(',', {{ folded('name') }})))) as part
    from (select distinct name from posts) as places
),
cities as (
    select city.1 as label, city.2 as country, arrayJoin(city.3) as raw, city.4 as place
    from (
        select arrayJoin([
            {% for label, country, names in gazetteer() %}
            ('{{ label }}', '{{ country }}', [{% for name in names %}'{{ name }}'{{ ', ' if not loop.last }}{% endfor %}], {{ loop.index }}){{ ',' if not loop.last }}
            {% endfor %}
        ]) as city
    ) as listed
),
found as (
    select
        parts.name as name,
        cities.label as city,
        cities.country as city_country,
        cities.place as place,
        min(countries.canonical) over (partition by parts.name) as country
    from parts
    -- Codes of two letters are words of many languages, too.
    left join (select raw, canonical from {{ dictionary_of('country') }} as words where length(raw) > 2) as countries on countries.raw = trimBoth(parts.part)
    left join cities on cities.raw = trimBoth(parts.part)
),
places as (
    select
        name,
        any(found.country) as country,
        argMinIf(found.city, (found.country is not null and found.city_country != found.country, found.place), found.city is not null) as city,
        argMinIf(found.city_country, (found.country is not null and found.city_country != found.country, found.place), found.city is not null) as city_country
    from found
    group by name
)
select
    posts.platform as platform,
    posts.shortcode as shortcode,
    posts.profile_id as profile_id,
    assumeNotNull(posts.name) as name,
    -- A city of another country than the one that is named is another place.
    if(places.country is not null and places.country != places.city_country, null, places.city) as city,
    coalesce(places.country, places.city_country) as country
from posts
left join places on places.name = posts.name
