-- description: One row per profile and local month, as leaderboard serves it: the month's ranks and those of the calendar month
--   before (null when the profile was not known then).
-- materialized: table
-- tags: core
-- unique_key: platform, profile_id, month
select
    r.platform as platform,
    r.profile_id as profile_id,
    r.month as month,
    {% for name in ['handle', 'full_name', 'profile_pic_url', 'followers', 'engagement_rate', 'views', 'category', 'language', 'country'] %}
    r.{{ name }} as {{ name }},
    {% endfor %}
    {%- for value in ['followers', 'engagement_rate', 'views'] %}
        {%- set last = loop.last %}
        {%- for group in ['', '_by_cat', '_by_lang', '_by_country'] %}
    r.{{ value }}_rank{{ group }} as {{ value }}_rank{{ group }},
    p.{{ value }}_rank{{ group }} as {{ value }}_rank{{ group }}_prev{{ ',' if not (last and loop.last) }}
        {%- endfor %}
    {%- endfor %}
from {{ ref('mart_leaderboard_rank') }} as r
left join {{ ref('mart_leaderboard_rank') }} as p
    on p.platform = r.platform and p.profile_id = r.profile_id and p.month = addMonths(r.month, -1)
