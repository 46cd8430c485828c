-- description: One row per profile: the latest known value of each attribute, whichever snapshot named it, imports included.
-- materialized: table
-- tags: core
-- unique_key: platform, profile_id
select
    platform,
    profile_id,
    {% for name in ['handle', 'full_name', 'profile_pic_url', 'category', 'language', 'country'] %}
    argMaxIf(monthly.{{ name }}, monthly.month, monthly.{{ name }} is not null) as {{ name }},
    {% endfor %}
    max(last_at) as last_at
from {{ ref('mart_attribute_monthly') }} as monthly final
group by platform, profile_id
