-- description: One row per local month, platform, category and language ('' = all): creators with 1,000 followers or more, their posts of the
--   month, the median engagement rate (2.1) and mean views of those posts, the sum of followers, and how each differs from the
--   calendar month before (null without it). Who has no category (or language) counts in all alone.
-- materialized: incremental
-- strategy: partitions
-- partition_by: month
-- looks_back: all
-- tags: core
-- unique_key: month, platform, category, language
with creators as (
    {% for platform, key, model in [('INSTAGRAM', 'profile_id', 'mart_insta_account_monthly'), ('YOUTUBE', 'channel_id', 'mart_youtube_account_monthly')] %}
    select '{{ platform }}' as platform, {{ key }} as profile_id, month, category, language, followers, posts, engagement_rate, avg_views
    from {{ ref(model) }} as monthly
    where followers >= {{ var('rank_min_followers') }}
    {% if is_incremental() %}
        and month >= addMonths({{ period_from() }}, -1) and month < {{ period_to() }}
    {% endif %}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),
-- Each in its own group and in all.
grouped as (
    select
        creators.* except (category, language),
        creator_category as category,
        arrayJoin(arrayDistinct(['', ifNull(creators.language, '')])) as language
    from (
        select *, arrayJoin(arrayDistinct(['', ifNull(category, '')])) as creator_category
        from creators
    ) as creators
),
figures as (
    select
        month,
        platform,
        category,
        language,
        count() as creators,
        sum(posts) as posts,
        {{ believable('quantileExactInclusive(0.5)(engagement_rate)', '10000') }} as median_engagement_rate,
        avg(avg_views) as avg_views,
        sum(followers) as followers
    from grouped
    group by month, platform, category, language
)
select
    present.month as month,
    present.platform as platform,
    present.category as category,
    present.language as language,
    {% for name in ['creators', 'posts', 'median_engagement_rate', 'avg_views', 'followers'] %}
    present.{{ name }} as {{ name }},
    present.{{ name }} - before.{{ name }} as {{ name }}_change{{ ',' if not loop.last }}
    {% endfor %}
from figures as present
left join (select * replace (addMonths(figures.month, 1) as month) from figures) as before
    on before.month = present.month
    and before.platform = present.platform
    and before.category = present.category
    and before.language = present.language
{% if is_incremental() %}
where {{ in_period('present.month') }}
{% endif %}
