-- description: One row per post in a tenant's list: its last known figures, what they are worth, and what they are of the
--   followers that its author had when it was published: the last known then (ER by rule 2.1; null where likes are hidden).
--   A post that is not found has none. emv: media value in `currency` (2.15). is_sponsored by rule 2.10.
-- materialized: table
-- tags: collections
-- unique_key: collection_id, platform, shortcode
-- values: kind = reel, video, image, carousel, story, short, live
with published as (
    select distinct
        platform,
        shortcode,
        assumeNotNull(profile_id) as profile_id,
        assumeNotNull(toDate(publish_time, '{{ var("timezone") }}')) as publish_date
    from {{ ref('mart_staging_collection_post') }}
    where profile_id is not null and publish_time is not null
),
followed as (
    select platform, profile_id, date, followers
    from {{ ref('mart_profile_daily') }} as daily final
    where followers > 0 and (platform, profile_id) in (select platform, profile_id from published)
),
audiences as (
    select
        published.platform as platform,
        published.shortcode as shortcode,
        argMax(followed.followers, followed.date) as followers
    from published
    inner join followed
        on followed.platform = published.platform and followed.profile_id = published.profile_id
    where followed.date <= published.publish_date
    group by platform, shortcode
),
figures as (
    select *, likes + comments as engagement
    from {{ ref('mart_staging_collection_post') }}
)
select
    post.collection_id as collection_id,
    post.partner_id as partner_id,
    post.platform as platform,
    post.shortcode as shortcode,
    post.profile_id as profile_id,
    post.post_id as post_id,
    post.publish_time as publish_time,
    post.kind as kind,
    post.likes as likes,
    post.comments as comments,
    post.views as views,
    post.reach as reach,
    post.saves as saves,
    post.shares as shares,
    post.engagement as engagement,
    audience.followers as followers_at_publish,
    {{ believable('post.engagement / audience.followers', 'audience.followers') }} as engagement_rate,
    {{ believable('post.engagement / nullIf(post.views, 0)', 'audience.followers') }} as er_by_views,
    toBool(sponsored.is_sponsored) as is_sponsored,
    {{ media_value('post.views', 'post.likes', 'post.comments') }} as emv,
    '{{ var("currency") }}' as currency,
    post.show_in_report as show_in_report,
    post.added_at as added_at,
    post.last_at as last_at,
    post.found as found
from figures as post
left join audiences as audience
    on audience.platform = post.platform and audience.shortcode = post.shortcode
left join (
    select platform, shortcode, is_sponsored
    from {{ ref('mart_post_sponsored') }}
    where (platform, shortcode) in (select platform, shortcode from {{ ref('mart_staging_collection_post') }})
) as sponsored
    on sponsored.platform = post.platform and sponsored.shortcode = post.shortcode
