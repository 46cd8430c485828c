-- description: One row per profile and local day: the last known value of that day for each metric; a 0
--   stands only if nothing else came that day, since sources tell it where they know nothing.
--   A day whose snapshots changed is computed again from all of them, so late, imported and doubled events are right.
-- materialized: incremental
-- tags: core
-- unique_key: platform, profile_id, date
{%- set names = ['followers', 'following', 'media_count', 'views', 'avg_likes', 'avg_comments', 'avg_views', 'engagement_rate'] %}
{%- set columns = [('last_at', 'stg.at')] %}
{%- for name in names %}
{%- set _ = columns.append((name ~ '_but_0', 'nullIf(stg.' ~ name ~ ', 0)')) %}
{%- set _ = columns.append((name ~ '_told', 'stg.' ~ name)) %}
{%- endfor %}
{%- set touched %}
(platform, profile_id, date) in (
    select platform, profile_id, date from {{ ref('stg_beat_profile_log') }} where {{ stands_since(watermark()) }}
)
{%- endset %}
{%- set seen_often %}
profile_id in (
    select profile_id from {{ ref('stg_beat_profile_log') }}
    group by platform, profile_id
    having count() != uniqExact(date)
    settings optimize_aggregation_in_order = 1
)
{%- endset %}
select *, now64(6, 'UTC') as built_at
from (
    {% if not is_incremental() %}
    -- Of who was never seen twice a day each snapshot is a day, and stands nearly as it shall lie.
    select
        platform,
        profile_id,
        date,
        at as last_at,
        {% for name in names %}
        {{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('stg_beat_profile_log') }}
    where not {{ seen_often }}
    union all
    {% endif %}
    select
        platform,
        profile_id,
        date,
        last_at,
        {% for name in names %}
        coalesce({{ name }}_but_0, {{ name }}_told) as {{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from (
        {{ last_known(
            ref('stg_beat_profile_log') ~ ' as stg',
            [('platform', 'stg.platform'), ('profile_id', 'stg.profile_id'), ('date', 'stg.date')],
            'stg.at, stg.version',
            columns,
            touched if is_incremental() else seen_often,
        ) }}
    ) as days
) as all_days
