-- description: One row per collection, metric (views, likes, engagement_rate) and place, 100 at most: its best posts by it.
--   Posts of which it is unknown take no place; of equal ones the newer stands first.
-- materialized: table
-- tags: collections
-- unique_key: collection_id, metric, rank
-- values: metric = views, likes, engagement_rate
with valued as (
    {%- for name in ['views', 'likes', 'engagement_rate'] %}
    select
        collection_id,
        partner_id,
        '{{ name }}' as metric,
        toFloat64(assumeNotNull({{ name }})) as value,
        platform,
        shortcode,
        profile_id,
        publish_time
    from {{ ref('mart_collection_post') }} as post
    where post.{{ name }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),
placed as (
    select
        *,
        row_number() over (
            partition by collection_id, metric order by value desc, publish_time desc, platform, shortcode
        ) as place
    from valued
)
select
    collection_id,
    partner_id,
    metric,
    toUInt8(place) as rank,
    value,
    platform,
    shortcode,
    profile_id,
    publish_time
from placed
where place <= 100
