-- description: One row per group of a tenant's collections: sums over the posts of its lists of posts, a post that stands in
--   several of them once; ER = sum of engagement / sum of followers. Only what mart_staging_collection_group leaves to it: its own
--   tenant's. A group without any collection of its own has no row.
-- materialized: table
-- tags: collections
-- unique_key: group_id
with groups as (
    select
        group_id,
        partner_id,
        count() as collections,
        countIf(collection_type = 'POST') as post_collections,
        countIf(collection_type = 'PROFILE') as profile_collections
    from {{ ref('mart_staging_collection_group') }}
    group by group_id, partner_id
),
posts as (
    -- The same post has the same figures in every list.
    select member.group_id as group_id, post.*
    from {{ ref('mart_staging_collection_group') }} as member
    inner join {{ ref('mart_collection_post') }} as post
        on post.collection_id = member.collection_id and post.partner_id = member.partner_id
    order by post.found desc, post.collection_id
    limit 1 by group_id, platform, shortcode
),
summed as (
    select
        group_id,
        {{ sums_of_posts() }},
        max(last_at) as last_at
    from posts as post
    group by group_id
)
select
    groups.group_id as group_id,
    groups.partner_id as partner_id,
    groups.collections as collections,
    groups.post_collections as post_collections,
    groups.profile_collections as profile_collections,
    ifNull(summed.posts, 0) as posts,
    ifNull(summed.items, 0) as items,
    ifNull(summed.creators, 0) as creators,
    {%- for name in ['likes', 'comments', 'views', 'reach', 'saves', 'shares', 'engagement', 'followers', 'engagement_rate', 'er_by_views'] %}
    summed.{{ name }} as {{ name }},
    {%- endfor %}
    ifNull(summed.sponsored_posts, 0) as sponsored_posts,
    summed.emv as emv,
    '{{ var("currency") }}' as currency,
    summed.last_at as last_at
from groups
left join summed on summed.group_id = groups.group_id
