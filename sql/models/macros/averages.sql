{# Averages of the newest posts by rule 2.1, over arrays of the known values. #}

{# Fewer known values than min_posts make no mean. #}
{% macro mean_of(values) %}if(length({{ values }}) >= {{ var('min_posts') }}, arrayAvg({{ values }}), null){% endmacro %}

{% macro median_of(values) -%}
if(length({{ values }}) >= {{ var('min_posts') }}, arrayReduce('quantileExactInclusive(0.5)', {{ values }}), null)
{%- endmacro %}

{# The mean without outliers, which are those above Q3 + 3 IQR, told apart from outlier_posts values on. #}
{% macro typical_of(values) -%}
multiIf(
    length({{ values }}) < {{ var('min_posts') }}, null,
    length({{ values }}) < {{ var('outlier_posts') }}, arrayAvg({{ values }}),
    arrayAvg(arrayFilter(x -> x <= 4 * arrayReduce('quantileExactInclusive(0.75)', {{ values }}) - 3 * arrayReduce('quantileExactInclusive(0.25)', {{ values }}), {{ values }}))
)
{%- endmacro %}

{# The last known value of each metric, one row a profile. #}
{% macro latest_metrics(platform, names, touched='') -%}
select
    profile_id,
    {%- for name in names %}
    argMaxIf(monthly.{{ name }}, monthly.month, monthly.{{ name }} is not null) as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ ref('mart_profile_monthly') }} as monthly final
where platform = '{{ platform }}'
{%- if touched %} and profile_id in ({{ touched }}){% endif %}
group by profile_id
{%- endmacro %}

{# Kinds of posts whose views are told apart. #}
{% macro video_kinds(platform) %}{{ return(['video', 'short', 'live'] if platform == 'YOUTUBE' else ['reel', 'video']) }}{% endmacro %}

{# Averages of a profile's newest posts by rules 2.1 and 2.2; `posts`: a SELECT of its posts. #}
{% macro recent_stats(platform, posts, touched='') -%}
{%- set key = profile_key(platform) -%}
{%- set recent_n = var('recent_n_youtube') if platform == 'YOUTUBE' else var('recent_n') -%}
with placed as (
    select
        *,
        row_number() over (partition by {{ key }} order by publish_time desc, {{ post_key(platform) }} desc) as place
    from ({{ posts }}) as posts
    where ifNull(kind, '') != 'story'
        and publish_time <= {{ now_at() }} - interval {{ var('min_age_h') }} hour
        and publish_time >= {{ now_at() }} - interval {{ var('recent_days') }} day
        {%- if touched %} and {{ key }} in ({{ touched }}){% endif %}
),
{#- Over all kinds the newest N; of each kind those among the newest 3 N (2.11). #}
lists as (
    select
        {{ key }},
        countIf(place <= {{ recent_n }}) as posts_used,
        countIf(place <= {{ recent_n }} and likes is null) as likes_hidden,
        groupArrayIf(likes, place <= {{ recent_n }}) as likes_known,
        groupArrayIf(comments, place <= {{ recent_n }}) as comments_known,
        groupArrayIf(views, place <= {{ recent_n }}) as views_known,
        {%- for kind in video_kinds(platform) %}
        groupArrayIf(views, kind = '{{ kind }}') as views_of_{{ kind }},
        groupArrayIf(engagement, kind = '{{ kind }}') as engagement_of_{{ kind }},
        {%- endfor %}
        countIf(place <= {{ recent_n }} and engagement is not null and views > 0) as seen,
        sumIf(engagement, place <= {{ recent_n }} and views > 0) as engagement_of_seen,
        sumIf(views, place <= {{ recent_n }} and engagement is not null and views > 0) as views_of_seen,
        {%- if platform == 'INSTAGRAM' %}
        countIf(place <= {{ recent_n }} and engagement is not null and reach > 0) as reached,
        sumIf(engagement + ifNull(saved, 0) + ifNull(shares, 0), place <= {{ recent_n }} and reach > 0) as engagement_of_reached,
        sumIf(reach, place <= {{ recent_n }} and engagement is not null and reach > 0) as reach_of_reached,
        {%- endif %}
        maxIf(publish_time, place = 1) as last_publish_time
    from placed
    where place <= 3 * {{ recent_n }}
    group by {{ key }}
),
audiences as (
    {{ latest_metrics(platform, ['followers'], touched) }}
)
select
    lists.{{ key }} as {{ key }},
    posts_used,
    likes_hidden / posts_used as likes_hidden_share,
    {%- for name in ['likes', 'comments', 'views'] %}
    {{ mean_of(name ~ '_known') }} as avg_{{ name }},
    {{ median_of(name ~ '_known') }} as median_{{ name }},
    {{ typical_of(name ~ '_known') }} as typical_{{ name }},
    {%- endfor %}
    {%- for kind in video_kinds(platform) %}
    {{ mean_of('views_of_' ~ kind) }} as avg_{{ kind }}_views,
    {{ mean_of('engagement_of_' ~ kind) }} as avg_{{ kind }}_engagement,
    {%- endfor %}
    nullIf(audiences.followers, 0) as followers,
    {{ believable('(avg_likes + avg_comments) / followers', 'followers') }} as engagement_rate,
    {{ believable('(median_likes + median_comments) / followers', 'followers') }} as median_engagement_rate,
    {{ believable('(typical_likes + typical_comments) / followers', 'followers') }} as typical_engagement_rate,
    if(seen >= {{ var('min_posts') }}, {{ believable('engagement_of_seen / views_of_seen', 'followers') }}, null) as er_by_views,
    {%- if platform == 'INSTAGRAM' %}
    if(reached >= {{ var('min_posts') }}, {{ believable('engagement_of_reached / reach_of_reached', 'followers') }}, null) as er_by_reach,
    {%- endif %}
    last_publish_time
from lists
left join audiences on audiences.profile_id = lists.{{ key }}
{%- endmacro %}

{# What a profile posts, and how often, by rules 2.9 and 2.10; `posts`: a SELECT of its posts. #}
{% macro account_summary(platform, posts, touched='') -%}
{%- set key = profile_key(platform) -%}
{%- set kinds = ['video', 'short', 'live'] if platform == 'YOUTUBE' else ['image', 'carousel', 'video', 'reel'] -%}
with known as (
    select
        *,
        toHour(publish_time, '{{ var("timezone") }}') as hour,
        publish_time >= {{ now_at() }} - interval {{ var('summary_days') }} day as is_of_year,
        publish_time >= {{ now_at() }} - interval {{ var('cadence_days') }} day as is_of_quarter
    from ({{ posts }}) as posts
    where ifNull(kind, '') != 'story' and publish_time <= {{ now_at() }}
    {%- if touched %} and {{ key }} in ({{ touched }}){% endif %}
),
counted as (
    select
        {{ key }},
        count() as posts_known,
        countIf(is_of_year) as posts_of_year,
        countIf(is_of_quarter) as posts_of_quarter,
        min(publish_time) as first_published_at,
        max(publish_time) as last_published_at,
        {%- for kind in kinds %}
        countIf(is_of_year and kind = '{{ kind }}') as {{ kind }}_posts,
        {%- endfor %}
        countIf(is_of_year and is_sponsored) as sponsored_posts,
        countIf(is_of_year and is_sponsored is not null) as judged_posts,
        groupArrayIf(engagement, is_of_year and is_sponsored) as engagement_of_sponsored,
        groupArrayIf(engagement, is_of_year and not is_sponsored) as engagement_of_others
    from known
    group by {{ key }}
),
{#- The hour whose posts engage most, of those with enough posts to tell; the earlier one of two equals. #}
hours as (
    select {{ key }}, hour, avg(engagement) as engaging
    from known
    where is_of_year and engagement is not null
    group by {{ key }}, hour
    having count() >= {{ var('min_posts') }}
),
best_hours as (
    select {{ key }}, argMax(hour, (engaging, -toInt32(hour))) as best_hour
    from hours
    group by {{ key }}
),
profiles as (
    {{ latest_metrics(platform, ['media_count'], touched) }}
),
joined as (
    select
        profiles.profile_id as {{ key }},
        profiles.media_count as media_count,
        counted.* except ({{ key }}),
        best_hours.best_hour as best_hour,
        dateDiff('second', counted.first_published_at, {{ now_at() }}) / 86400 as days_since_first,
        dateDiff('second', counted.first_published_at, counted.last_published_at) / 86400 as span_days,
        {#- All posts of the last weeks are known: there are older ones, or as many as the profile counts. #}
        counted.first_published_at < {{ now_at() }} - interval {{ var('cadence_days') }} day
        or profiles.media_count <= ifNull(counted.posts_known, 0) as all_known
    from profiles
    left join counted on counted.{{ key }} = profiles.profile_id
    left join best_hours on best_hours.{{ key }} = profiles.profile_id
)
select
    {{ key }},
    ifNull(joined.posts_known, 0) as posts_known,
    multiIf(
        joined.posts_known is null, if(media_count = 0, 0, null),
        all_known, posts_of_quarter / greatest(least(days_since_first, {{ var('cadence_days') }}) / 7, 1),
        joined.posts_known > 1 and span_days > 0, (joined.posts_known - 1) / span_days * 7,
        null
    ) as posts_per_week,
    mapFilter((kind, share) -> share > 0, map(
        {%- for kind in kinds %}
        '{{ kind }}', assumeNotNull(ifNull({{ kind }}_posts / nullIf({{ kinds | join('_posts + ') }}_posts, 0), 0)){{ ',' if not loop.last }}
        {%- endfor %}
    )) as kind_mix,
    best_hour,
    if(judged_posts >= {{ var('min_posts') }}, sponsored_posts / judged_posts, null) as sponsored_share,
    {{ mean_of('engagement_of_sponsored') }} / nullIf({{ mean_of('engagement_of_others') }}, 0) as paid_performance,
    first_published_at,
    last_published_at
from joined
{%- endmacro %}
