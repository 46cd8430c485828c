{# Accounts as search and API show them; the marts of changes run the same SELECT for fewer profiles. #}

{# What an account's row tells beside its id, in order: (name, expression). What is no attribute is a figure of ours, which
   mart_*_account_partial announces when it changes. #}
{% macro account_figures(platform) -%}
{%- set views_by_kind = [
    ('avg_reel_views', 'stats.avg_reel_views'),
] if platform == 'INSTAGRAM' else [
    ('avg_views_video', 'stats.avg_video_views'),
    ('avg_views_short', 'stats.avg_short_views'),
] -%}
{{ return([
    ('category', 'attributes.category'),
    ('category_basis', 'attributes.category_basis'),
    ('language', 'attributes.language'),
    ('language_basis', 'attributes.language_basis'),
    ('country', 'coalesce(attributes.country, places.country)'),
    ('country_basis', 'if(attributes.country is null, places.country_basis, attributes.country_basis)'),
    ('city', 'coalesce(attributes.city, places.city)'),
    ('city_basis', 'if(attributes.city is null, places.city_basis, attributes.city_basis)'),
    ('gender', 'attributes.gender'),
    ('gender_basis', 'attributes.gender_basis'),
    ('age_band', 'attributes.age_band'),
    ('avg_likes', 'if(stats.posts_used is null, metrics.avg_likes, stats.avg_likes)'),
    ('avg_comments', 'if(stats.posts_used is null, metrics.avg_comments, stats.avg_comments)'),
    ('avg_views', 'if(stats.posts_used is null, metrics.avg_views, stats.avg_views)'),
] + views_by_kind + [
    ('engagement_rate', 'if(stats.posts_used is null, metrics.engagement_rate, stats.engagement_rate)'),
    ('er_by_views', 'stats.er_by_views'),
    ('posts_used', 'stats.posts_used'),
    ('likes_hidden_share', 'stats.likes_hidden_share'),
    ('growth_7d', 'growth.growth_7d'),
    ('growth_30d', 'growth.growth_30d'),
    ('growth_90d', 'growth.growth_90d'),
    ('posts_per_week', 'summary.posts_per_week'),
    ('best_hour', 'summary.best_hour'),
    ('sponsored_share', 'summary.sponsored_share'),
    ('paid_performance', 'summary.paid_performance'),
    ('bucket', 'grade.bucket'),
    ('grade', 'grade.grade'),
    ('er_percentile', 'grade.er_percentile'),
    ('audience_gender', 'audience.gender'),
    ('audience_age', 'audience.age'),
    ('audience_country', 'audience.country'),
    ('audience_city', 'audience.city'),
    ('audience_language', 'audience.language'),
    ('audience_basis', 'audience.basis'),
    ('fake_share', 'quality.fake_share'),
    ('credibility', 'quality.credibility'),
    ('aqs', 'quality.aqs'),
    ('anomalies_90d', 'quality.anomalies_90d'),
    ('emv_per_post', 'price.emv_per_post'),
    ('price_low', 'price.price_low'),
    ('price_mid', 'price.price_mid'),
    ('price_high', 'price.price_high'),
]) }}
{%- endmacro %}

{# One row per account of the platform: today's figures, the freshest posts' averages, and what slower marts know. #}
{% macro accounts(platform, touched='') -%}
{%- set key = profile_key(platform) -%}
{%- set short = 'insta' if platform == 'INSTAGRAM' else 'youtube' -%}
{%- set names = {'followers': 'subscribers', 'media_count': 'uploads', 'views': 'total_views', 'full_name': 'title'} if platform == 'YOUTUBE' else {} -%}
with attributes as (
    select * from {{ ref('mart_profile_attributes') }}
    where platform = '{{ platform }}'
    {%- if touched %} and profile_id in ({{ touched }}){% endif %}
),
metrics as (
    {{ latest_metrics(platform, ['followers', 'following', 'media_count', 'views', 'avg_likes', 'avg_comments', 'avg_views', 'engagement_rate'], touched) }}
),
posts as (
    select profile_id, count() as posts_known, max(publish_time) as last_published_at
    from {{ ref('mart_post_latest') }} as latest final
    where platform = '{{ platform }}'
    {%- if touched %} and profile_id in ({{ touched }}){% endif %}
    group by profile_id
),
stats as (
    {{ freshest('mart_' ~ short ~ '_recent_stats', key) }}
),
summary as (
    {{ freshest('mart_' ~ short ~ '_account_summary', key) }}
)
{%- for name in ['profile_growth', 'profile_grade', 'profile_location', 'audience_info', 'audience_quality', 'profile_price'] %},
{{ name }} as (
    select * from {{ ref('mart_' ~ name) }} where platform = '{{ platform }}'
)
{%- endfor %},
joined as (
    select
        attributes.profile_id as {{ key }},
        {%- for name in ['handle', 'full_name', 'bio', 'website', 'profile_pic_url', 'profile_type', 'is_verified', 'has_email', 'has_phone', 'last_at'] %}
        attributes.{{ name }} as {{ names.get(name, name) }},
        {%- endfor %}
        {%- for name in ['followers', 'following', 'media_count', 'views'] %}
        {%- if name not in (['following'] if platform == 'YOUTUBE' else ['views']) %}
        metrics.{{ name }} as {{ names.get(name, name) }},
        {%- endif %}
        {%- endfor %}
        ifNull(posts.posts_known, 0) as posts_known,
        posts.last_published_at as last_published_at,
        {%- for name, expression in account_figures(platform) %}
        {{ expression }} as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from attributes
    inner join metrics on metrics.profile_id = attributes.profile_id
    left join posts on posts.profile_id = attributes.profile_id
    left join stats on stats.{{ key }} = attributes.profile_id
    left join summary on summary.{{ key }} = attributes.profile_id
    left join profile_growth as growth on growth.profile_id = attributes.profile_id
    left join profile_grade as grade on grade.profile_id = attributes.profile_id
    left join profile_location as places on places.profile_id = attributes.profile_id
    left join audience_info as audience on audience.profile_id = attributes.profile_id
    left join audience_quality as quality on quality.profile_id = attributes.profile_id
    left join profile_price as price on price.profile_id = attributes.profile_id
)
select
    *,
    {#- Of the figures alone: a crawl that changed none of them has nothing to announce. -#}
    cityHash64(toJSONString(tuple({% for name, expression in account_figures(platform) %}{{ name }}{{ ', ' if not loop.last }}{% endfor %}))) as row_hash
from joined
-- All lie in the order of profiles: eleven tables to look up in would take three times the memory.
settings join_algorithm = 'full_sorting_merge'
{%- endmacro %}

{# Accounts whose figures have changed since they were last announced: those touched since the last run, and those that the
   full mart knows otherwise. #}
{% macro changed_accounts(platform) -%}
{%- set key = profile_key(platform) -%}
-- dbt sees only what a whole build reads; one that adds rows reads {{ ref(whole_account(platform)) }}, too
with accounts as (
    {{ accounts(platform, changed_keys(platform) if is_incremental() else '') }}
)
select
    *,
    row_number() over (order by {{ key }}) as seq,
    now64(6, 'UTC') as built_at
from accounts
{% if is_incremental() %}
where ({{ key }}, row_hash) not in (select {{ key }}, row_hash from {{ this }} as announced final)
{% endif %}
{%- endmacro %}

{% macro whole_account(platform) -%}
{{ 'mart_instagram_account' if platform == 'INSTAGRAM' else 'mart_youtube_account' }}
{%- endmacro %}

{% macro changed_keys(platform) -%}
{%- set key = profile_key(platform) -%}
{%- set account = whole_account(platform) -%}
select profile_id from {{ ref('mart_profile_monthly') }}
where platform = '{{ platform }}' and built_at >= {{ watermark(account ~ '_partial') }}
union distinct
select profile_id from {{ ref('mart_post_latest') }}
where platform = '{{ platform }}' and built_at >= {{ watermark(account ~ '_partial') }}
union distinct
select {{ key }} from {{ ref(account) }}
where ({{ key }}, row_hash) not in (select {{ key }}, row_hash from {{ this }} as announced final)
{%- endmacro %}
