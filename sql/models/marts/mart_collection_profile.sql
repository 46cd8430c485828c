-- description: One row per profile in a tenant's list of profiles, with what its account tells today: followers, ER (2.1), growth
--   (2.3), audience quality (2.13), estimated price of a post (2.15), and what this tenant agreed with it.
--   A profile that is not found has none.
-- materialized: table
-- tags: collections
-- unique_key: collection_id, platform, profile_id
{%- set told = ['handle', 'followers', 'engagement_rate', 'avg_views', 'growth_7d', 'growth_30d', 'growth_90d', 'grade', 'price_low', 'price_mid', 'price_high'] %}
with accounts as (
    select
        'INSTAGRAM' as platform,
        profile_id,
        full_name,
        {{ told | join(', ') }}
    from {{ ref('mart_instagram_account') }}
    where profile_id in (select profile_id from {{ ref('mart_staging_collection_profile') }})
    union all
    select
        'YOUTUBE' as platform,
        channel_id as profile_id,
        title as full_name,
        {{ told | join(', ') | replace('followers', 'subscribers as followers') }}
    from {{ ref('mart_youtube_account') }}
    where channel_id in (select profile_id from {{ ref('mart_staging_collection_profile') }})
),
agreed as (
    select partner_id, platform, profile_id, price, currency
    from {{ ref('stg_coffee_campaign_profiles') }} as campaign
    order by campaign.updated_at desc, campaign.id
    limit 1 by partner_id, platform, profile_id
)
select
    member.collection_id as collection_id,
    member.partner_id as partner_id,
    member.platform as platform,
    member.profile_id as profile_id,
    account.full_name as full_name,
    {%- for name in told %}
    account.{{ name }} as {{ name }},
    {%- endfor %}
    quality.aqs as aqs,
    agreed.price as agreed_price,
    agreed.currency as agreed_currency,
    '{{ var("currency") }}' as currency,
    member.added_at as added_at,
    member.last_at as last_at,
    member.found as found
from {{ ref('mart_staging_collection_profile') }} as member
left join accounts as account
    on account.platform = member.platform and account.profile_id = member.profile_id
left join (
    select platform, profile_id, aqs
    from {{ ref('mart_audience_quality') }}
    where (platform, profile_id) in (select platform, profile_id from {{ ref('mart_staging_collection_profile') }})
) as quality
    on quality.platform = member.platform and quality.profile_id = member.profile_id
left join agreed
    on agreed.partner_id = member.partner_id
    and agreed.platform = member.platform
    and agreed.profile_id = member.profile_id
