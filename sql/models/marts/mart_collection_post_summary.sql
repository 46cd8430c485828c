-- description: Two levels. POST: one row per post in a list of posts, as mart_collection_post has it. COLLECTION: one row per
--   collection (platform is ALL, shortcode ''), of posts with its sums and its ER = sum of engagement / sum of followers,
--   of profiles (collection_type PROFILE) with its members: creators, sum of followers, median ER.
-- materialized: table
-- tags: collections
-- unique_key: collection_type, collection_id, level, platform, shortcode
-- values: collection_type = POST, PROFILE; level = POST, COLLECTION; platform = INSTAGRAM, YOUTUBE, ALL
{% set sums = ['likes', 'comments', 'views', 'reach', 'saves', 'shares', 'engagement'] %}
select
    'POST' as collection_type,
    collection_id,
    partner_id,
    'POST' as level,
    toString(platform) as platform,
    shortcode,
    profile_id,
    post_id,
    publish_time,
    toNullable(toUInt64(found)) as posts,
    toNullable(toUInt64(1)) as items,
    toNullable(toUInt64(isNotNull(profile_id))) as creators,
    {%- for name in sums %}
    {{ name }},
    {%- endfor %}
    followers_at_publish as followers,
    engagement_rate,
    er_by_views,
    toNullable(toUInt64(ifNull(is_sponsored, false))) as sponsored_posts,
    emv,
    '{{ var("currency") }}' as currency,
    last_at
from {{ ref('mart_collection_post') }}
union all
select
    'POST' as collection_type,
    collection_id,
    partner_id,
    'COLLECTION' as level,
    'ALL' as platform,
    '' as shortcode,
    null as profile_id,
    null as post_id,
    null as publish_time,
    posts,
    items,
    creators,
    {%- for name in sums %}
    {{ name }},
    {%- endfor %}
    followers,
    engagement_rate,
    er_by_views,
    sponsored_posts,
    emv,
    '{{ var("currency") }}' as currency,
    last_at
from (
    select
        collection_id,
        partner_id,
        {{ sums_of_posts() }},
        max(last_at) as last_at
    from {{ ref('mart_collection_post') }} as post
    group by collection_id, partner_id
) as lists
union all
select
    'PROFILE' as collection_type,
    collection_id,
    partner_id,
    'COLLECTION' as level,
    'ALL' as platform,
    '' as shortcode,
    null as profile_id,
    null as post_id,
    null as publish_time,
    null as posts,
    profiles as items,
    profiles_found as creators,
    {%- for name in sums %}
    null as {{ name }},
    {%- endfor %}
    followers,
    median_engagement_rate as engagement_rate,
    null as er_by_views,
    null as sponsored_posts,
    null as emv,
    '{{ var("currency") }}' as currency,
    last_at
from {{ ref('mart_collection_profile_summary') }}
