-- description: One row per collection of a tenant's group, of posts or of profiles. An id that is none of the group's own
--   tenant's collections is dropped, whoever wrote it there.
-- materialized: table
-- tags: collections
-- unique_key: group_id, collection_id
-- values: collection_type = POST, PROFILE
with named as (
    select distinct id as group_id, partner_id, arrayJoin(collection_ids) as collection_id
    from {{ ref('stg_coffee_collection_group') }}
),
own as (
    select id, partner_id, 'POST' as collection_type from {{ ref('stg_coffee_post_collection') }}
    union all
    select id, partner_id, 'PROFILE' as collection_type from {{ ref('stg_coffee_profile_collection') }}
)
select
    named.group_id as group_id,
    named.partner_id as partner_id,
    named.collection_id as collection_id,
    own.collection_type as collection_type
from named
inner join own on own.id = named.collection_id and own.partner_id = named.partner_id
