-- description: One row per person with linked accounts (2.12) and local day on which one of them was seen: followers of all, each the last
--   known value that is 7 days old or younger; null while one of them is unknown.
-- materialized: incremental
-- strategy: partitions
-- partition_by: toYYYYMM(date)
-- looks_back: 1
-- tags: daily
-- unique_key: person_id, date
with accounts as (
    {{ accounts_of_persons() }}
),
sizes as (
    select person_id, count() as accounts from accounts group by person_id
),
known as (
    select
        accounts.person_id as person_id,
        daily.platform as platform,
        daily.profile_id as profile_id,
        daily.date as date,
        daily.followers as followers,
        leadInFrame(toNullable(daily.date)) over (
            partition by accounts.person_id, daily.platform, daily.profile_id
            order by daily.date rows between current row and unbounded following
        ) as next_date
    from {{ ref('mart_profile_daily') }} as daily final
    inner join accounts on accounts.platform = daily.platform and accounts.profile_id = daily.profile_id
    where daily.followers is not null
    {% if is_incremental() %}
        and daily.date >= {{ period_from() }} - {{ var('carried_days') }} and daily.date < {{ period_to() }}
    {% endif %}
),
-- Each value on its own day, and on those after it until the next one.
carried as (
    select
        person_id,
        followers,
        known.date as seen_on,
        arrayJoin(arrayMap(
            days -> known.date + days,
            range(toUInt16(least(ifNull(next_date - known.date, {{ var('carried_days') }} + 1), {{ var('carried_days') }} + 1)))
        )) as date
    from known
),
summed as (
    select
        person_id,
        carried.date as date,
        count() as accounts_known,
        sum(followers) as followers_known,
        max(carried.seen_on) = carried.date as is_seen
    from carried
    group by person_id, date
)
select
    summed.person_id as person_id,
    summed.date as date,
    sizes.accounts as accounts,
    summed.accounts_known as accounts_known,
    if(summed.accounts_known = sizes.accounts, summed.followers_known, null) as followers
from summed
inner join sizes on sizes.person_id = summed.person_id
where summed.is_seen
{% if is_incremental() %}
    and {{ in_period('summed.date') }}
{% endif %}
