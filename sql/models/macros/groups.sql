{# What groups a profile by rule 2.4: canonical category, language and country of a month, which are the last known ones at or before
   its end. Words that name no subject replace none that do (2.7). One row per profile and month in which something was told. #}
{% macro groups_by_month() -%}
select
    platform,
    profile_id,
    month,
    -- Aggregates pass over null.
    anyLast(category) over until_then as category,
    anyLast(language) over until_then as language,
    anyLast(country) over until_then as country
from (
    select
        attribute.platform as platform,
        attribute.profile_id as profile_id,
        attribute.month as month,
        categories.canonical as category,
        languages.canonical as language,
        countries.canonical as country
    from {{ ref('mart_attribute_monthly') }} as attribute final
    left join ({{ canonical_words('category', 'mart_attribute_monthly') }}) as categories on categories.told = attribute.category
    left join ({{ canonical_words('language', 'mart_attribute_monthly') }}) as languages on languages.told = attribute.language
    left join ({{ canonical_words('country', 'mart_attribute_monthly') }}) as countries on countries.told = attribute.country
) as told
window until_then as (partition by platform, profile_id order by month)
{%- endmacro %}

{# Within what profiles are ranked: the suffix of a rank's name, and the columns of its group. #}
{% macro rank_groups() %}{{ return([
    ('', []),
    ('_by_cat', ['category']),
    ('_by_lang', ['language']),
    ('_by_country', ['country']),
    ('_by_cat_lang', ['category', 'language']),
]) }}{% endmacro %}
