-- description: One row per list of profiles that has members: how many, how many of them we know, the sum of their followers, and
--   the median of their ER, each of what is known.
-- materialized: table
-- tags: collections
-- unique_key: collection_id
select
    collection_id,
    partner_id,
    count() as profiles,
    countIf(found) as profiles_found,
    sumOrNull(member.followers) as followers,
    {{ believable('quantileExactInclusiveOrNull(0.5)(member.engagement_rate)', '10000') }} as median_engagement_rate,
    sumOrNull(member.agreed_price) as agreed_price,
    max(last_at) as last_at
from {{ ref('mart_collection_profile') }} as member
group by collection_id, partner_id
