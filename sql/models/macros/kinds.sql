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

{# A count that a platform told: below zero it is a sign for hidden. #}
{% macro told_count(name) -%}
if({{ name }} < 0, null, {{ name }})
{%- endmacro %}
