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
countries as (
    select parts.name as name, min(country.canonical) as country
    from parts
    -- Codes of two letters are words of many languages, too.
    inner join {{ dictionary_of('country') }} as country on country.raw = trimBoth(parts.part)
    where country.canonical is not null and length(trimBoth(parts.part)) > 2
    group by name
),
found as (
    select
        parts.name as name,
        argMin(cities.label, (countries.country is not null and cities.country != countries.country, cities.place)) as city,
        argMin(cities.country, (countries.country is not null and cities.country != countries.country, cities.place)) as country
    from parts
    inner join cities on cities.raw = trimBoth(parts.part)
    left join countries on countries.name = parts.name
    group by name
)
select
    posts.platform as platform,
    posts.shortcode as shortcode,
    posts.profile_id as profile_id,
    assumeNotNull(posts.name) as name,
    -- A city of another country than the one that is named is another place.
    if(countries.country is not null and countries.country != found.country, null, found.city) as city,
    coalesce(countries.country, found.country) as country
from posts
left join countries on countries.name = posts.name
left join found on found.name = posts.name
