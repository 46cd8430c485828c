-- description: One row per post (id: its shortcode) and profile of tenants' lists that is to be read regularly: when the next
--   time is, and how urgent. A post as often as the most eager of its lists says, from the first to the last day of the
--   campaign; a profile daily: of lists of profiles, of campaigns, and whose posts are read. What was never read is due at
--   once. Priority: that of who looks at such things and pays, else of collections. It names no tenant.
-- materialized: table
-- tags: collections
-- unique_key: platform, kind, id
-- values: kind = POST, PROFILE
with wanted_posts as (
    select
        post.platform as platform,
        'POST' as kind,
        post.shortcode as id,
        post.profile_id as profile_id,
        post.last_at as last_at,
        post.added_at as added_at,
        if(collection.ingestion_frequency = 'HOURLY', 1, 24) as every_h
    from {{ ref('mart_staging_collection_post') }} as post
    inner join {{ ref('stg_coffee_post_collection') }} as collection on collection.id = post.collection_id
    where collection.ingestion_frequency in ('HOURLY', 'DAILY')
        and ifNull(collection.from_date <= {{ local_today() }}, true)
        and ifNull(collection.to_date >= {{ local_today() }}, true)
),
wanted_profiles as (
    select platform, 'PROFILE' as kind, profile_id as id, profile_id, last_at, added_at, 24 as every_h
    from {{ ref('mart_staging_collection_profile') }}
    union all
    select campaign.platform, 'PROFILE', campaign.profile_id, campaign.profile_id, profile.last_at, campaign.created_at, 24
    from {{ ref('stg_coffee_campaign_profiles') }} as campaign
    left join {{ ref('mart_profile_attributes') }} as profile
        on profile.platform = campaign.platform and profile.profile_id = campaign.profile_id
    union all
    select
        post.platform,
        'PROFILE',
        assumeNotNull(post.profile_id),
        assumeNotNull(post.profile_id),
        profile.last_at,
        post.added_at,
        24
    from wanted_posts as post
    left join {{ ref('mart_profile_attributes') }} as profile
        on profile.platform = post.platform and profile.profile_id = post.profile_id
    where post.profile_id is not null
),
wanted as (
    select * from wanted_posts
    union all
    select * from wanted_profiles
),
due as (
    select
        platform,
        kind,
        id,
        any(profile_id) as profile_id,
        max(last_at) as last_at,
        min(added_at) as added_at,
        min(every_h) as every_h
    from wanted
    group by platform, kind, id
),
paying as (
    select distinct partner_id
    from {{ ref('stg_coffee_partner_contract') }}
    where type = 'SAAS'
        and plan in ('{{ var("paid_plans") | join("', '") }}')
        and starts_at <= {{ now_at() }} and ends_at > {{ now_at() }}
),
viewed as (
    select platform, profile_id, sum(access_count) as views_by_payers
    from {{ ref('stg_coffee_partner_profile_page_track') }}
    where date > toDate({{ now_at() }}) - {{ var('page_views_days') }} and partner_id in (select partner_id from paying)
    group by platform, profile_id
)
select
    due.platform as platform,
    due.kind as kind,
    due.id as id,
    due.profile_id as profile_id,
    due.every_h as every_h,
    due.last_at as last_at,
    coalesce(due.last_at + toIntervalHour(due.every_h), due.added_at) as due_at,
    if(viewed.views_by_payers > 0, {{ var('priority_of_payers') }}, {{ var('priority_of_collections') }}) as priority
from due
left join viewed on viewed.platform = due.platform and viewed.profile_id = due.profile_id
