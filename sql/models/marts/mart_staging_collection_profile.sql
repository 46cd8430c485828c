-- description: One row per profile in a tenant's list of profiles, once, and whether anything is known of it (found).
--   Only where list and item are of the same tenant.
-- materialized: table
-- tags: collections
-- unique_key: collection_id, platform, profile_id
with members as (
    select
        item.collection_id as collection_id,
        item.partner_id as partner_id,
        item.platform as platform,
        item.profile_id as profile_id,
        min(item.created_at) as added_at
    from {{ ref('stg_coffee_profile_collection_item') }} as item
    inner join {{ ref('stg_coffee_profile_collection') }} as collection
        on collection.id = item.collection_id and collection.partner_id = item.partner_id
    group by collection_id, partner_id, platform, profile_id
)
select
    member.collection_id as collection_id,
    member.partner_id as partner_id,
    member.platform as platform,
    member.profile_id as profile_id,
    member.added_at as added_at,
    profile.last_at as last_at,
    toBool(isNotNull(profile.last_at)) as found
from members as member
left join {{ ref('mart_profile_attributes') }} as profile
    on profile.platform = member.platform and profile.profile_id = member.profile_id
