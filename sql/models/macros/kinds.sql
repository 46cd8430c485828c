{# Kind of an Instagram post, by rule 2.11: reel, video, image, carousel or story; null where nobody told. #}
{% macro instagram_kind(post_type) -%}
multiIf(
    lower({{ post_type }}) in ('reels', 'reel', 'clips'), 'reel',
    lower({{ post_type }}) in ('video', 'igtv', 'feed_video'), 'video',
    lower({{ post_type }}) in ('image', 'photo'), 'image',
    lower({{ post_type }}) in ('carousel', 'carousel_album', 'album', 'sidecar'), 'carousel',
    lower({{ post_type }}) = 'story', 'story',
    null
)
{%- endmacro %}

{# Kind of a YouTube video, by rule 2.11: short, video or live. What was told holds; else a short is 60 s long or less, since
   2024-10-15 an upright one 180 s. Null where neither type nor length is known. #}
{% macro youtube_kind(post_type, duration_s, upright, publish_time) -%}
multiIf(
    lower({{ post_type }}) in ('short', 'shorts'), 'short',
    lower({{ post_type }}) = 'live', 'live',
    lower({{ post_type }}) = 'video', 'video',
    {{ duration_s }} is null or {{ duration_s }} <= 0, null,
    {{ duration_s }} <= 60, 'short',
    {{ duration_s }} <= 180 and {{ upright }} and {{ publish_time }} >= toDateTime64('2024-10-15 00:00:00', 6, 'UTC'), 'short',
    'video'
)
{%- endmacro %}

{# A count that a platform told: below zero it is a sign for hidden, and what nothing on earth has is none, or sums would overflow. #}
{% macro told_count(name) -%}
if({{ name }} between 0 and {{ var('count_max') }}, {{ name }}, null)
{%- endmacro %}

{# A rate that a producer told: above 5 it was meant in percent, or is none. #}
{% macro told_rate(name) -%}
if({{ name }} between 0 and 5, {{ name }}, null)
{%- endmacro %}

{# A rate that was worked out: above 5 of a large audience one of its counts is wrong (500 likes and one view), and so is the rate. #}
{% macro believable(rate, followers) -%}
if({{ rate }} > 5 and ifNull({{ followers }}, 0) >= 10000, null, {{ rate }})
{%- endmacro %}

{# A time that a producer told: those before 1971 stand for none. #}
{% macro told_time(name) -%}
if({{ name }} < toDateTime64('1971-01-02 00:00:00', 6, 'UTC'), null, {{ name }})
{%- endmacro %}
