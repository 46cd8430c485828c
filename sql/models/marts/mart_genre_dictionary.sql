-- description: One row per kind and spelling: the canonical value that it stands for, by rule 2.7, and that one's label. Of a
--   spelling that is known to name no subject (Digital creator, und) both are null; of an unknown one there is no row. The
--   lists stand in macros, with their sources.
-- materialized: table
-- tags: core
-- unique_key: kind, raw
-- values: kind = category, language, country, gender, city
with listed as (
    select arrayJoin([
        {% for kind, words in [
            ('category', dictionary_categories()),
            ('language', dictionary_languages()),
            ('country', dictionary_countries()),
            ('gender', dictionary_genders()),
            ('city', dictionary_cities()),
        ] %}
        {%- set last_kind = loop.last %}
        {% for canonical, label, spellings in words %}
        ('{{ kind }}', '{{ canonical or "" }}', '{{ (label or "") | replace("'", "\\'") }}', [
            {%- for spelling in spellings %}'{{ spelling | replace("'", "\\'") }}'{{ ', ' if not loop.last }}{% endfor -%}
        ]){{ ',' if not (last_kind and loop.last) }}
        {% endfor %}
        {% endfor %}
    ]) as word
),
spelled as (
    select word.1 as kind, word.2 as canonical, word.3 as label, arrayJoin(word.4) as spelling
    from listed
)
select
    kind,
    {{ folded('spelling') }} as raw,
    nullIf(any(canonical), '') as canonical,
    nullIf(any(label), '') as label
from spelled
group by kind, raw
