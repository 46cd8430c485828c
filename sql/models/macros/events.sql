{# The order of an event among those of one key: by its time, equal times are told apart by id. One number: argMax by a tuple is 4
   times slower. #}
{% macro event_version() -%}
toUInt64(greatest(toUnixTimestamp64Micro(event_timestamp), 0)) * 4096 + cityHash64(event_id) % 4096
{%- endmacro %}

{# An order of values, by whole numbers of less than 2^63, in which each 0 comes before all others. #}
{% macro zeros_first(value, place) -%}
bitOr(toUInt64({{ place }}), toUInt64(ifNull({{ value }}, 0) != 0) * 9223372036854775808)
{%- endmacro %}

{# Since when an event stands here. #}
{% macro event_inserted_at() -%}
greatest(insert_timestamp, event_timestamp - interval 1 day)
{%- endmacro %}

{# The same of a staging model's row: whether it stands here since a watermark or later. Two comparisons, not one of the greater of both:
   parts of the log whose newest row is older are not read at all. #}
{% macro stands_since(time) -%}
(stored_at >= {{ time }} or at >= {{ time }} + interval 1 day)
{%- endmacro %}

{# One mistyped year would be everybody's latest month: what tells of a time to come is left out until then, and what tells of none
   (1970) for ever. #}
{% macro event_has_been() -%}
event_timestamp < {{ now_at() }} + interval 1 day and event_timestamp >= toDateTime64('1971-01-02 00:00:00', 6, 'UTC')
{%- endmacro %}

{# What names no platform that models know (instagram, TIKTOK, nothing), or an id that no index holds, is left out: it would be a
   row of nobody's everywhere. #}
{% macro event_of_somebody(ids, more_platforms=[]) -%}
platform in ('INSTAGRAM', 'YOUTUBE', 'SHOPIFY'{% for name in more_platforms %}, '{{ name }}'{% endfor %})
{%- for id in ids %} and length({{ id }}) <= {{ var('id_bytes_max') }}{% endfor %}
{%- endmacro %}

{# A field of a column of JSON: text, null where it is none or empty. Most rows have no such field: they are not parsed. #}
{% macro json_text(column, name) -%}
nullIf(if(position({{ column }}, '"{{ name }}"') = 0, '', JSONExtractString({{ column }}, '{{ name }}')), '')
{%- endmacro %}

{% macro json_typed(column, name, type) -%}
if(position({{ column }}, '"{{ name }}"') = 0, defaultValueOfTypeName('{{ type }}'), JSONExtract({{ column }}, '{{ name }}', '{{ type }}'))
{%- endmacro %}
