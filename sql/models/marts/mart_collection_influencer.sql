-- description: One row per creator whose posts stand in a tenant's list: what of the list's views and engagement is theirs, and
--   what it cost. price: what this tenant agreed with them for a post; cost: that of their found posts; cpm: for 1,000
--   views; cpe: for one like or comment. Prices that others agreed are never looked at.
-- materialized: table
-- tags: collections
-- unique_key: collection_id, platform, profile_id
with creators as (
    select
        collection_id,
        partner_id,
        platform,
        assumeNotNull(profile_id) as creator_id,
        {{ sums_of_posts() }},
        max(publish_time) as last_published_at
    from {{ ref('mart_collection_post') }} as post
    where profile_id is not null
    group by collection_id, partner_id, platform, creator_id
),
agreed as (
    select partner_id, platform, profile_id, handle, price, currency
    from {{ ref('stg_coffee_campaign_profiles') }} as campaign
    order by campaign.updated_at desc, campaign.id
    limit 1 by partner_id, platform, profile_id
),
shared as (
    select
        *,
        sum(views) over collection as views_of_all,
        sum(engagement) over collection as engagement_of_all
    from creators
    window collection as (partition by collection_id)
)
select
    shared.collection_id as collection_id,
    shared.partner_id as partner_id,
    shared.platform as platform,
    shared.creator_id as profile_id,
    shared.posts as posts,
    shared.likes as likes,
    shared.comments as comments,
    shared.views as views,
    shared.engagement as engagement,
    shared.engagement_rate as engagement_rate,
    shared.views / nullIf(shared.views_of_all, 0) as views_share,
    shared.engagement / nullIf(shared.engagement_of_all, 0) as engagement_share,
    shared.emv as emv,
    agreed.price as price,
    agreed.price * shared.posts as cost,
    1000 * agreed.price * shared.posts / nullIf(shared.views, 0) as cpm,
    agreed.price * shared.posts / nullIf(shared.engagement, 0) as cpe,
    agreed.currency as currency,
    shared.last_published_at as last_published_at
from shared
left join agreed
    on agreed.partner_id = shared.partner_id
    and agreed.platform = shared.platform
    and agreed.profile_id = shared.creator_id
