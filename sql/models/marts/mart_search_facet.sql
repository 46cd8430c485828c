-- description: One row per kind of facet, platform and value: its label (the dictionary's, else the value) and how many profiles have it.
-- materialized: table
-- tags: hourly
-- unique_key: kind, platform, value
-- values: kind = category, language, country, city, gender, age_band, grade, bucket, profile_type, keyword
with facets as (
    select platform, facet.1 as kind, facet.2 as value, count() as count
    from (
        select
            platform,
            arrayJoin(arrayConcat(
                [
                    {%- for name in ['category', 'language', 'country', 'city', 'gender', 'age_band', 'grade', 'bucket', 'profile_type'] %}
                    ('{{ name }}', ifNull(toString({{ name }}), '')){{ ',' if not loop.last }}
                    {%- endfor %}
                ],
                arrayMap(word -> ('keyword', word), keywords)
            )) as facet
        from {{ ref('mart_search_profile') }}
    )
    where value != ''
    group by platform, kind, value
),
labels as (
    select kind, assumeNotNull(canonical) as canonical, any(dictionary.label) as label
    from {{ ref('mart_genre_dictionary') }} as dictionary
    where canonical is not null
    group by kind, canonical
)
select
    facets.kind as kind,
    facets.platform as platform,
    facets.value as value,
    coalesce(labels.label, facets.value) as label,
    facets.count as count
from facets
left join labels on labels.kind = facets.kind and labels.canonical = facets.value
