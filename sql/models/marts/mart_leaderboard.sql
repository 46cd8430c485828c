-- description: One row per profile and local month, as leaderboard serves it: the month's ranks (2.4) and those of the calendar month
--   before (2.5): null when the profile was not known then, and of a group when that was another one. `views` is the last known
--   figure; `views_gained` is what a channel's grew by since the month before.
-- materialized: incremental
-- strategy: partitions
-- partition_by: month
-- looks_back: 1
-- tags: core
-- unique_key: platform, profile_id, month
with present as (
    select *
    from {{ ref('mart_leaderboard_rank') }} as ranks
    {% if is_incremental() %}
    where {{ in_period('month') }}
    {% endif %}
),
before as (
    select * replace (addMonths(month, 1) as month)
    from {{ ref('mart_leaderboard_rank') }} as ranks
    {% if is_incremental() %}
    where {{ in_period('addMonths(ranks.month, 1)') }}
    {% endif %}
)
select
    {% for name in ['platform', 'profile_id', 'month', 'handle', 'full_name', 'profile_pic_url', 'followers', 'engagement_rate', 'views'] %}
    present.{{ name }} as {{ name }},
    {% endfor %}
    if(present.platform = 'YOUTUBE', present.views - before.views, null) as views_gained,
    present.category as category,
    present.language as language,
    present.country as country
    {%- for value in ['followers', 'engagement_rate', 'views'] %}
        {%- for suffix, columns in rank_groups() %},
        {%- set rank = value ~ '_rank' ~ suffix %}
    present.{{ rank }} as {{ rank }},
        {%- if columns %}
    if(
        {%- for column in columns %}{{ ' and ' if not loop.first }}before.{{ column }} = present.{{ column }}{% endfor -%}
        , before.{{ rank }}, null
    ) as {{ rank }}_prev
        {%- else %}
    before.{{ rank }} as {{ rank }}_prev
        {%- endif %}
        {%- endfor %}
    {%- endfor %}
from present
left join before
    on before.platform = present.platform and before.profile_id = present.profile_id and before.month = present.month
