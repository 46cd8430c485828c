-- description: One row per collection, of posts or of profiles, and hashtag: how many of its posts carry it, of how many creators, with
--   how many views and what mean ER, of what is known.
-- materialized: table
-- tags: collections
-- unique_key: collection_type, collection_id, tag
-- values: collection_type = POST, PROFILE
select
    collection_type,
    collection_id,
    partner_id,
    tag,
    count() as posts,
    uniqExact(tagged.profile_id) as creators,
    sumOrNull(tagged.views) as views,
    {{ believable('avgOrNull(tagged.engagement_rate)', '10000') }} as avg_engagement_rate
from {{ ref('mart_staging_collection_hashtags') }} as tagged
group by collection_type, collection_id, partner_id, tag
