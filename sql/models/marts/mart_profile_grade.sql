-- description: One row per profile with 1,000 followers or more: its bucket of followers, and within platform and bucket its place (0 to 1,
--   percent_rank) and grade (A to E) by engagement rate, average views, 30 days' growth and posts a week (2.6). Fewer than
--   min_bucket members with a value have none. `grade` is that by engagement rate.
-- materialized: table
-- tags: daily
-- unique_key: platform, profile_id
with profiles as (
    {%- for platform in ['INSTAGRAM', 'YOUTUBE'] %}
    {%- set key, short = (profile_key(platform), 'youtube' if platform == 'YOUTUBE' else 'insta') %}
    select
        '{{ platform }}' as platform,
        latest.profile_id as profile_id,
        latest.followers as followers,
        stats.engagement_rate as engagement_rate,
        stats.avg_views as avg_views,
        growth.growth_30d as growth_30d,
        summary.posts_per_week as posts_per_week
    from ({{ latest_metrics(platform, ['followers']) }}) as latest
    left join {{ ref('mart_' ~ short ~ '_recent_stats') }} as stats on stats.{{ key }} = latest.profile_id
    left join {{ ref('mart_' ~ short ~ '_account_summary') }} as summary on summary.{{ key }} = latest.profile_id
    left join (select * from {{ ref('mart_profile_growth') }} where platform = '{{ platform }}') as growth on growth.profile_id = latest.profile_id
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),
bucketed as (
    select *, {{ follower_bucket('followers') }} as bucket
    from profiles
    where followers >= {{ var('rank_min_followers') }}
),
-- Unknown values stand in a window of their own, so that they take no place.
placed as (
    select
        platform,
        profile_id,
        bucket,
        {%- for name in ['engagement_rate', 'avg_views', 'growth_30d', 'posts_per_week'] %}
        if(
            {{ name }} is not null and count() over (partition by platform, bucket, {{ name }} is null) >= {{ var('min_bucket') }},
            percent_rank() over (
                partition by platform, bucket, {{ name }} is null
                order by {{ name }} range between unbounded preceding and unbounded following
            ),
            null
        ) as {{ name }}_percentile{{ ',' if not loop.last }}
        {%- endfor %}
    from bucketed
)
select
    platform,
    profile_id,
    bucket,
    engagement_rate_percentile as er_percentile,
    avg_views_percentile,
    growth_30d_percentile,
    posts_per_week_percentile,
    {{ grade_of('engagement_rate_percentile') }} as grade,
    {{ grade_of('avg_views_percentile') }} as avg_views_grade,
    {{ grade_of('growth_30d_percentile') }} as growth_30d_grade,
    {{ grade_of('posts_per_week_percentile') }} as posts_per_week_grade
from placed
