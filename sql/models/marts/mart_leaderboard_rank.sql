-- description: One row per profile and local month with its ranks: by followers, engagement rate and views; overall and within
--   its category, language and country (upper and lower case are the same, as they are for the API). Equal values share a
--   rank; a rank whose value (or group) is unknown is null.
-- materialized: table
-- tags: core
-- unique_key: platform, month, profile_id
select
    m.platform as platform,
    m.profile_id as profile_id,
    m.month as month,
    a.handle as handle,
    a.full_name as full_name,
    a.profile_pic_url as profile_pic_url,
    m.followers as followers,
    m.engagement_rate as engagement_rate,
    m.views as views,
    a.category as category,
    a.language as language,
    a.country as country
    {%- for value in ['followers', 'engagement_rate', 'views'] %},
    {# Unknown values sort last, so they take no rank from the known ones. #}
    if(isNull(m.{{ value }}), null, rank() over (partition by m.platform, m.month order by m.{{ value }} desc nulls last)) as {{ value }}_rank
        {%- for suffix, group in [('cat', 'category'), ('lang', 'language'), ('country', 'country')] %},
    if(isNull(m.{{ value }}) or isNull(a.{{ group }}), null, rank() over (partition by m.platform, m.month, lowerUTF8(a.{{ group }}) order by m.{{ value }} desc nulls last)) as {{ value }}_rank_by_{{ suffix }}
        {%- endfor %}
    {%- endfor %}
from (select platform, profile_id, month, followers, engagement_rate, views from {{ ref('mart_profile_monthly') }} final) as m
inner join {{ ref('mart_profile_attributes') }} as a on a.platform = m.platform and a.profile_id = m.profile_id
