{# What the marts of posts share: full ones and partial ones run the same SELECTs, and differ in whose posts they take. #}

{# The columns that name a profile and its posts, as each platform's marts call them. #}
{% macro profile_key(platform) %}{{ return('channel_id' if platform == 'YOUTUBE' else 'profile_id') }}{% endmacro %}
{% macro post_key(platform) %}{{ return('video_id' if platform == 'YOUTUBE' else 'post_id') }}{% endmacro %}

{# Likes as far as they are told: an author may hide them, and some sources write -1 or, beside many comments, 0 (2.1). #}
{% macro shown_likes(likes, comments) -%}
if({{ likes }} < 0 or ({{ likes }} = 0 and {{ comments }} >= {{ var('hidden_likes_comments') }}), null, {{ likes }})
{%- endmacro %}

{# Profiles that got snapshots, of themselves or of their posts, since the last good build of `model`. #}
{% macro touched_since(platform, model) -%}
select profile_id from {{ ref('mart_post_latest') }}
where platform = '{{ platform }}' and built_at >= {{ watermark(model) }}
union distinct
select profile_id from {{ ref('mart_profile_monthly') }}
where platform = '{{ platform }}' and built_at >= {{ watermark(model) }}
{%- endmacro %}

{# Posts of one platform, one row a post whose time is known. `touched`: a SELECT of the only profiles to take.
   What is joined to the posts is a row per profile, and whether they are sponsored is looked up by a hash of 128 bits: a table of
   all posts to join would take more memory than everything else. #}
{% macro all_posts(platform, touched='') -%}
with posts as (
    select
        profile_id,
        assumeNotNull(latest.publish_time) as publish_time,
        post_id,
        shortcode,
        kind,
        {{ shown_likes('latest.likes', 'latest.comments') }} as likes,
        if(latest.comments < 0, null, latest.comments) as comments,
        if(kind in ('image', 'carousel'), null, coalesce(latest.views, latest.plays)) as views,
        reach,
        saved,
        shares,
        duration_s,
        last_at,
        row_number() over (partition by profile_id, latest.publish_time, post_id order by last_at desc, shortcode) as telling
    from {{ ref('mart_post_latest') }} as latest final
    where platform = '{{ platform }}' and profile_id != '' and latest.publish_time is not null
    {%- if touched %} and profile_id in ({{ touched }}){% endif %}
),
engaging as (
    select
        *,
        likes + comments as engagement,
        toDate(publish_time, '{{ var("timezone") }}') as publish_date
    from posts
    where telling = 1  -- one post may be told of under two shortcodes
),
fences as (
    select
        profile_id,
        count(engagement) as known,
        quantileExactInclusive(0.25)(engagement) as q1,
        quantileExactInclusive(0.75)(engagement) as q3
    from engaging
    group by profile_id
),
publish_dates as (
    select profile_id, groupUniqArray(toDate(assumeNotNull(latest.publish_time), '{{ var("timezone") }}')) as dates
    from {{ ref('mart_post_latest') }} as latest
    where platform = '{{ platform }}' and latest.publish_time is not null
    {%- if touched %} and profile_id in ({{ touched }}){% endif %}
    group by profile_id
),
-- Days are ten times as many as posts: a profile's lie together, and are lists, in which each day of a post finds the last one by then.
series as (
    select
        profile_id,
        arraySort(groupArray(date)) as dates,
        arraySort((level, day) -> day, groupArray(assumeNotNull(daily.followers)), groupArray(date)) as levels
    from {{ ref('mart_profile_daily') }} as daily final
    where platform = '{{ platform }}' and daily.followers > 0
    {%- if touched %} and profile_id in ({{ touched }}){% endif %}
    group by profile_id
),
audiences as (
    select
        series.profile_id as profile_id,
        arrayMap(day -> (day, series.levels[arrayCount(date -> date <= day, series.dates)]), publish_dates.dates) as known
    from series
    inner join publish_dates on publish_dates.profile_id = series.profile_id
)
select
    engaging.profile_id as {{ profile_key(platform) }},
    engaging.publish_time as publish_time,
    engaging.post_id as {{ post_key(platform) }},
    engaging.shortcode as shortcode,
    engaging.kind as kind,
    engaging.likes as likes,
    engaging.comments as comments,
    engaging.views as views,
    {%- if platform == 'YOUTUBE' %}
    engaging.duration_s as duration_s,
    if(kind = 'short' and engaging.last_at >= '{{ var("shorts_count_starts_since") }}', 'STARTS', 'VIEWS') as views_basis,
    {%- else %}
    engaging.reach as reach,
    engaging.saved as saved,
    engaging.shares as shares,
    {%- endif %}
    engaging.engagement as engagement,
    -- 0 where none is known of that day.
    nullIf(arrayFirst(of -> of.1 = engaging.publish_date, audiences.known).2, 0) as followers_at_publish,
    {{ believable('engagement / followers_at_publish', 'followers_at_publish') }} as engagement_rate,
    if(fences.known >= {{ var('outlier_posts') }}, engaging.engagement > fences.q3 + 3 * (fences.q3 - fences.q1), null) as is_outlier,
    multiIf(
        sipHash128(engaging.shortcode) in (select sipHash128(shortcode) from {{ ref('mart_post_sponsored') }} where platform = '{{ platform }}' and is_sponsored), 1,
        sipHash128(engaging.shortcode) in (select sipHash128(shortcode) from {{ ref('mart_post_sponsored') }} where platform = '{{ platform }}' and not is_sponsored), 0,
        null
    ) as is_sponsored,
    engaging.last_at as last_at
from engaging
left join audiences on audiences.profile_id = engaging.profile_id
left join fences on fences.profile_id = engaging.profile_id
settings optimize_aggregation_in_order = 1, aggregation_in_order_max_block_bytes = 1000000  -- of days, few profiles' are held at a time
{%- endmacro %}

{# A full mart of posts or stats, but those profiles that its partial twin knows anew as the twin has them. #}
{% macro freshest(model, key) -%}
select * from {{ ref(model) }} where {{ key }} not in (select {{ key }} from {{ ref(model ~ '_partial') }})
union all
select * from {{ ref(model ~ '_partial') }}
{%- endmacro %}
