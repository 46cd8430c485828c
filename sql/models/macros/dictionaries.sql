{# Text as rule 2.7 compares it: NFKC, case folded, runs of spaces and underscores as one space, & as "and". Null stays null. #}
{% macro folded(text) -%}
trimBoth(replaceRegexpAll(replaceAll(normalizeUTF8NFKCCasefold({{ text }}), '&', ' and '), '[\\s_]+', ' '))
{%- endmacro %}

{# What a value of one kind is looked up by among the dictionary's raw ones: a language by its first subtag (hi-IN is hi). #}
{% macro dictionary_key(kind, text) -%}
{% if kind == 'language' -%}
replaceRegexpOne({{ folded(text) }}, '^([a-z]{2,3})[- ](?:[a-z]{2}|[a-z]{4}|[0-9]{3})(?:[- ][a-z0-9]+)*$', '\\1')
{%- else -%}
{{ folded(text) }}
{%- endif %}
{%- endmacro %}

{# The dictionary's words of one kind, to be joined by raw = dictionary_key(kind, text): canonical is null of what is no subject. #}
{% macro dictionary_of(kind) -%}
(select raw, canonical from {{ ref('mart_genre_dictionary') }} where kind = '{{ kind }}')
{%- endmacro %}

{# Each text that a column of a model holds, as `told`, with its canonical value: folding a million texts costs seconds, their few
   spellings nothing. #}
{% macro canonical_words(kind, model, column='') -%}
select words.told as told, if(words.told = '', null, dictionary.canonical) as canonical
from (
    select told, {{ dictionary_key(kind, 'told') }} as raw
    from (select distinct {{ column or kind }} as told from {{ ref(model) }}) as spellings
    where told is not null
) as words
inner join {{ dictionary_of(kind) }} as dictionary on dictionary.raw = words.raw
{%- endmacro %}

{% macro dictionary_genders() %}{{ return([
    ('male', 'Male', ['male', 'm', 'man', 'men', 'boy', 'he/him']),
    ('female', 'Female', ['female', 'f', 'woman', 'women', 'girl', 'she/her']),
    (none, none, ['unknown', 'none', 'other', 'n/a', 'null', 'neutral', 'brand', 'u', '-']),
]) }}{% endmacro %}

{# Cities are called what they are labelled. #}
{% macro dictionary_cities() -%}
{%- set words = [] -%}
{%- for label, country, names in gazetteer() -%}
{%- set _ = words.append((label, label, names)) -%}
{%- endfor -%}
{{ return(words) }}
{%- endmacro %}

{# Texts as an array of SQL. #}
{% macro sql_list(texts) -%}
[{% for text in texts %}'{{ text | replace("'", "\\'") }}'{{ ', ' if not loop.last }}{% endfor %}]
{%- endmacro %}
