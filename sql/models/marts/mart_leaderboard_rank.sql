-- description: One row per profile and local month with its ranks by rule 2.4: by followers, engagement rate and views; overall, within
--   its category, language, country, and category and language. Equal values share a rank, the next one skips; who has no value,
--   or no group, takes no place. Ranks by rate and by views are of profiles with 1,000 followers or more. Groups are those of the
--   month's end; names are today's. `views` is the last known figure (of a channel: of its whole life).
-- materialized: incremental
-- strategy: partitions
-- partition_by: month
-- looks_back: all
-- tags: core
-- unique_key: platform, month, profile_id
with members as (
    select platform, profile_id, month, followers, engagement_rate, views
    from {{ ref('mart_profile_monthly') }} as monthly final
    {% if is_incremental() %}
    where {{ in_period('month') }}
    {% endif %}
),
groups as (
    {{ groups_by_month() }}
),
grouped as (
    select
        members.platform as platform,
        members.profile_id as profile_id,
        members.month as month,
        members.followers as followers,
        members.engagement_rate as engagement_rate,
        members.views as views,
        members.followers as ranked_followers,
        if(members.followers >= {{ var('rank_min_followers') }}, members.engagement_rate, null) as ranked_engagement_rate,
        if(members.followers >= {{ var('rank_min_followers') }}, members.views, null) as ranked_views,
        groups.category as category,
        groups.language as language,
        groups.country as country
        {%- for suffix, columns in rank_groups() %},
        -- One number to sort by: words take twice as long.
        cityHash64(members.platform, members.month{% for column in columns %}, ifNull(groups.{{ column }}, ''){% endfor %}) as within{{ suffix }}
        {%- endfor %}
    from members
    asof left join groups
        on groups.platform = members.platform and groups.profile_id = members.profile_id and groups.month <= members.month
),
-- Each of the ranks sorts all rows: names come to them afterwards.
ranked as (
    select
        platform,
        profile_id,
        month,
        followers,
        engagement_rate,
        views,
        category,
        language,
        country
        {%- for value in ['followers', 'engagement_rate', 'views'] %}
            {%- for suffix, columns in rank_groups() %},
            {#- Unknown values sort last, so they take no rank from the known ones. #}
        if(
            isNull(ranked_{{ value }}){% for column in columns %} or isNull(grouped.{{ column }}){% endfor %},
            null,
            rank() over (
                partition by within{{ suffix }}
                order by ranked_{{ value }} desc nulls last
            )
        ) as {{ value }}_rank{{ suffix }}
            {%- endfor %}
        {%- endfor %}
    from grouped
)
select
    ranked.platform as platform,
    ranked.profile_id as profile_id,
    ranked.month as month,
    names.handle as handle,
    names.full_name as full_name,
    names.profile_pic_url as profile_pic_url,
    {%- for name in ['followers', 'engagement_rate', 'views', 'category', 'language', 'country'] %}
    ranked.{{ name }} as {{ name }},
    {%- endfor %}
    {%- for value in ['followers', 'engagement_rate', 'views'] %}
        {%- set values = loop %}
        {%- for suffix, columns in rank_groups() %}
    ranked.{{ value }}_rank{{ suffix }} as {{ value }}_rank{{ suffix }}{{ ',' if not (values.last and loop.last) }}
        {%- endfor %}
    {%- endfor %}
from ranked
left join {{ ref('mart_profile_attributes') }} as names
    on names.platform = ranked.platform and names.profile_id = ranked.profile_id
