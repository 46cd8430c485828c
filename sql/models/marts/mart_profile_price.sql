-- description: One row per profile whose views are known: what a post of it may cost, in `currency`, by rule 2.15: mid = expected
--   views / 1000 x CPM (of platform, kind, category, country) x (.7 + .6 percentile of its engagement rate, which is half where
--   unknown), times what tenants agreed to against such estimates in its bucket (the median of ten or more); low and high beside
--   it. By kind in maps, and of the kind with the most views. Never from followers. emv_per_post: what its mean post is worth.
-- materialized: table
-- tags: daily
-- unique_key: platform, profile_id
with kinds as (
    {%- for platform in ['INSTAGRAM', 'YOUTUBE'] %}
    {%- set platform_loop = loop %}
    {%- set short = 'youtube' if platform == 'YOUTUBE' else 'insta' %}
    {%- for kind in video_kinds(platform) %}
    select '{{ platform }}' as platform, {{ profile_key(platform) }} as profile_id, '{{ kind }}' as kind, assumeNotNull(avg_{{ kind }}_views) as expected_views
    from {{ ref('mart_' ~ short ~ '_recent_stats') }}
    where avg_{{ kind }}_views > 0
    {{ 'union all' if not (loop.last and platform_loop.last) }}
    {%- endfor %}
    {%- endfor %}
),
estimates as (
    select
        kinds.platform as platform,
        kinds.profile_id as profile_id,
        kinds.kind as kind,
        kinds.expected_views as expected_views,
        grade.bucket as bucket,
        kinds.expected_views / 1000
        * {{ price_per_1000_views('kinds.platform', 'kinds.kind') }}
        * {{ factor_of("ifNull(known.category, '')", price_factors_of_categories()) }}
        * {{ factor_of("ifNull(known.country, '')", price_factors_of_countries()) }}
        * ({{ var('price_base') }} + {{ var('price_by_er') }} * ifNull(grade.er_percentile, .5)) as estimate
    from kinds
    left join {{ ref('mart_profile_grade') }} as grade on grade.platform = kinds.platform and grade.profile_id = kinds.profile_id
    left join {{ ref('mart_profile_attributes') }} as known on known.platform = kinds.platform and known.profile_id = kinds.profile_id
),
-- The kind that a campaign buys: the one with the most views.
main as (
    select platform, profile_id, argMax(estimates.estimate, (estimates.expected_views, estimates.kind)) as estimate, any(estimates.bucket) as bucket
    from estimates
    group by platform, profile_id
),
corrections as (
    select main.platform as platform, main.bucket as bucket, quantileExactInclusive(0.5)(agreed.price / main.estimate) as factor
    from {{ ref('stg_coffee_campaign_profiles') }} as agreed
    inner join main on main.platform = upper(agreed.platform) and main.profile_id = agreed.profile_id
    where agreed.price > 0 and agreed.currency = '{{ var("currency") }}' and main.bucket is not null
    group by platform, bucket
    having count() >= {{ var('min_campaign_prices') }}
),
prices as (
    select
        estimates.platform as platform,
        estimates.profile_id as profile_id,
        estimates.kind as kind,
        estimates.expected_views as expected_views,
        estimates.estimate * ifNull(corrections.factor, 1) as mid
    from estimates
    left join corrections on corrections.platform = estimates.platform and corrections.bucket = estimates.bucket
),
worths as (
    {%- for platform in ['INSTAGRAM', 'YOUTUBE'] %}
    select '{{ platform }}' as platform, {{ profile_key(platform) }} as profile_id, {{ media_value('avg_views', 'avg_likes', 'avg_comments') }} as emv_per_post
    from {{ ref('mart_youtube_recent_stats' if platform == 'YOUTUBE' else 'mart_insta_recent_stats') }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),
by_kind as (
    select
        platform,
        profile_id,
        argMax(kind, (expected_views, kind)) as price_kind,
        argMax(mid, (expected_views, kind)) as price_mid,
        mapFromArrays(groupArray(kind), groupArray(mid)) as price_mid_by_kind
    from prices
    group by platform, profile_id
)
select
    worths.platform as platform,
    worths.profile_id as profile_id,
    worths.emv_per_post as emv_per_post,
    by_kind.price_kind as price_kind,
    by_kind.price_mid * {{ var('price_low') }} as price_low,
    by_kind.price_mid as price_mid,
    by_kind.price_mid * {{ var('price_high') }} as price_high,
    mapApply((kind, mid) -> (kind, mid * {{ var('price_low') }}), by_kind.price_mid_by_kind) as price_low_by_kind,
    by_kind.price_mid_by_kind as price_mid_by_kind,
    mapApply((kind, mid) -> (kind, mid * {{ var('price_high') }}), by_kind.price_mid_by_kind) as price_high_by_kind,
    '{{ var("currency") }}' as currency
from worths
left join by_kind on by_kind.platform = worths.platform and by_kind.profile_id = worths.profile_id
where worths.emv_per_post is not null or by_kind.price_mid is not null
