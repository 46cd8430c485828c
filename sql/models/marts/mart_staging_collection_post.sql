-- description: One row per post in a tenant's list of posts, once, with its last known figures; found: whether we know it.
--   Only where list and item are of the same tenant. Views and plays are one measure, which images do not have (2.11);
--   0 likes with 10 comments or more are hidden ones (2.1). profile_id: as crawled, else as the tenant told.
-- materialized: table
-- tags: collections
-- unique_key: collection_id, platform, shortcode
-- values: kind = reel, video, image, carousel, story, short, live
with items as (
    select
        item.collection_id as collection_id,
        item.partner_id as partner_id,
        item.platform as platform,
        item.shortcode as shortcode,
        item.profile_id as told_profile_id,
        item.created_at as added_at,
        collection.show_in_report as show_in_report
    from {{ ref('stg_coffee_post_collection_item') }} as item
    inner join {{ ref('stg_coffee_post_collection') }} as collection
        on collection.id = item.collection_id and collection.partner_id = item.partner_id
    order by added_at, item.id
    limit 1 by collection_id, platform, shortcode
),
known as (
    -- Searches show posts without telling whose they are: the row that names a profile is the better one.
    select
        platform,
        shortcode,
        profile_id,
        post_id,
        publish_time,
        kind,
        likes,
        comments,
        coalesce(views, plays) as watched,
        reach,
        saved,
        shares,
        last_at
    from {{ ref('mart_post_latest') }} as post final
    where (platform, shortcode) in (select platform, shortcode from {{ ref('stg_coffee_post_collection_item') }})
    order by profile_id = '', last_at desc
    limit 1 by platform, shortcode
)
select
    item.collection_id as collection_id,
    item.partner_id as partner_id,
    item.platform as platform,
    item.shortcode as shortcode,
    coalesce(nullIf(known.profile_id, ''), nullIf(item.told_profile_id, '')) as profile_id,
    known.post_id as post_id,
    known.publish_time as publish_time,
    known.kind as kind,
    {{ shown_likes('known.likes', 'known.comments') }} as likes,
    if(known.comments < 0, null, known.comments) as comments,
    if(known.kind in ('image', 'carousel'), null, known.watched) as views,
    known.reach as reach,
    known.saved as saves,
    known.shares as shares,
    item.show_in_report as show_in_report,
    item.added_at as added_at,
    known.last_at as last_at,
    toBool(isNotNull(known.last_at)) as found
from items as item
left join known on known.platform = item.platform and known.shortcode = item.shortcode
