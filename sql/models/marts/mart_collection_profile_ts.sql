-- description: One row per list of profiles and local day: the sum of its members' followers, each as last known, for 7 days at
--   most; members: of how many. Of the last 366 days, and of the list as it is now, not as it was then.
-- materialized: table
-- tags: collections
-- unique_key: collection_id, date
with known as (
    select platform, profile_id, date, assumeNotNull(daily.followers) as followers
    from {{ ref('mart_profile_daily') }} as daily final
    where daily.followers is not null
        and date >= {{ local_today() }} - {{ var('collection_series_days') }} - {{ var('carried_days') }}
        and date <= {{ local_today() }}
        and (platform, profile_id) in (select platform, profile_id from {{ ref('mart_staging_collection_profile') }})
),
stretches as (
    -- A value holds until the day before the next one.
    select
        platform,
        profile_id,
        date,
        followers,
        leadInFrame(toNullable(date)) over (
            partition by platform, profile_id order by date rows between unbounded preceding and unbounded following
        ) as next_date
    from known
),
carried as (
    select
        platform,
        profile_id,
        followers,
        arrayJoin(
            arrayMap(
                days -> date + days,
                range(toUInt32(
                    least({{ var('carried_days') }} + 1, dateDiff('day', date, ifNull(next_date, {{ local_today() }} + 1)))
                ))
            )
        ) as day
    from stretches
)
select
    member.collection_id as collection_id,
    member.partner_id as partner_id,
    carried.day as date,
    sum(carried.followers) as followers,
    count() as members
from carried
inner join {{ ref('mart_staging_collection_profile') }} as member
    on member.platform = carried.platform and member.profile_id = carried.profile_id
where carried.day > {{ local_today() }} - {{ var('collection_series_days') }}
group by collection_id, partner_id, date
