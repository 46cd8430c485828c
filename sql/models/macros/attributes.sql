{# Snapshots that a language model wrote: its guesses, never figures of the platform. #}
{% macro is_gpt(source) %}{{ source }} in ({% for name in var('gpt_sources') %}'{{ name }}'{{ ', ' if not loop.last }}{% endfor %}){% endmacro %}

{# Words of a kind that are no subject (2.7): they never replace a known one. #}
{% macro no_subjects(kind) -%}
(select raw from {{ ref('mart_genre_dictionary') }} where kind = '{{ kind }}' and canonical is null)
{%- endmacro %}

{# Who told a value, by its weight (see mart_profile_attributes); null where nobody did. #}
{% macro basis_of(weight) -%}
multiIf({{ weight }} >= 300000, 'CURATED', {{ weight }} >= 200000, 'GPT', {{ weight }} >= 100000, 'PLATFORM', null)
{%- endmacro %}
