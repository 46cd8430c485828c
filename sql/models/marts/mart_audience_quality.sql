-- description: One row per profile with its audience quality, 0 to 100 (2.13): the weighted mean of its known parts, each 0 to 1, null
--   below 2 of them: credibility of its followers, percentile of its ER in its bucket, health of its growth (a quarter off for
--   each anomaly in 90 days; known where its growth over 30 days is) and, of its newest 500 comments, variety of authors
--   times variety of texts (known from 50 on).
-- materialized: table
-- tags: daily
-- unique_key: platform, profile_id
with anomalies as (
    select platform, profile_id, count() as n
    from {{ ref('mart_time_series_anomaly') }}
    where date > {{ local_today() }} - {{ var('quality_days') }} and date <= {{ local_today() }}
    group by platform, profile_id
),
growth as (
    select
        grown.platform as platform,
        grown.profile_id as profile_id,
        ifNull(anomalies.n, 0) as anomalies_90d
    from {{ ref('mart_profile_growth') }} as grown
    left join anomalies on anomalies.platform = grown.platform and anomalies.profile_id = grown.profile_id
    where grown.growth_30d is not null
),
-- Whose post it is, is not always told beside a comment.
owners as (
    select platform, shortcode, max(profile_id) as profile_id
    from {{ ref('mart_post_latest') }} as post final
    where (platform, shortcode) in (
        select platform, shortcode from {{ ref('stg_beat_post_activity_log') }}
        where activity_type = 'comment' and profile_id = ''
    )
    group by platform, shortcode
),
tellings as (
    select
        activity.platform as platform,
        activity.activity_id as comment_id,
        activity.version as version,
        if(activity.profile_id = '', ifNull(owners.profile_id, ''), activity.profile_id) as profile_id,
        coalesce(activity.actor_profile_id, activity.actor_handle, '') as author,
        lowerUTF8(trimBoth(ifNull(activity.text, ''))) as text,
        coalesce(activity.publish_time, activity.at) as published_at
    from {{ ref('stg_beat_post_activity_log') }} as activity
    left join owners on owners.platform = activity.platform and owners.shortcode = activity.shortcode
    where activity.activity_type = 'comment'
),
comments as (
    select platform, profile_id, author, text, published_at, comment_id
    from tellings
    where profile_id != '' and author != '' and text != ''
    order by version desc
    limit 1 by platform, comment_id
),
newest_comments as (
    select platform, profile_id, author, text
    from comments
    order by published_at desc, comment_id
    limit {{ var('quality_comments_max') }} by platform, profile_id
),
talk as (
    select
        platform,
        profile_id,
        uniqExact(author) / count() * uniqExact(text) / count() as variety
    from newest_comments
    group by platform, profile_id
    having count() >= {{ var('quality_comments_min') }}
),
profiles as (
    select platform, profile_id from {{ ref('mart_profile_grade') }}
    union distinct
    select platform, profile_id from growth
    union distinct
    select platform, profile_id from talk
    union distinct
    select 'INSTAGRAM' as platform, profile_id from {{ ref('mart_instagram_creators_followers_fake_analysis') }}
),
known as (
    select
        profiles.platform as platform,
        profiles.profile_id as profile_id,
        fake.fake_share as fake_share,
        fake.credibility as credibility,
        grade.er_percentile as er_percentile,
        growth.anomalies_90d as anomalies_90d,
        if(
            growth.anomalies_90d is null, null, greatest(1 - {{ var('quality_off_by_anomaly') }} * growth.anomalies_90d, 0)
        ) as growth_health,
        talk.variety as comments_variety
    from profiles
    left join (
        select 'INSTAGRAM' as platform, profile_id, fake_share, credibility
        from {{ ref('mart_instagram_creators_followers_fake_analysis') }}
    ) as fake
        on fake.platform = profiles.platform and fake.profile_id = profiles.profile_id
    left join {{ ref('mart_profile_grade') }} as grade
        on grade.platform = profiles.platform and grade.profile_id = profiles.profile_id
    left join growth on growth.platform = profiles.platform and growth.profile_id = profiles.profile_id
    left join talk on talk.platform = profiles.platform and talk.profile_id = profiles.profile_id
),
{%- set parts = {'credibility': var('aqs_of_credibility'), 'er_percentile': var('aqs_of_er'), 'growth_health': var('aqs_of_growth'), 'comments_variety': var('aqs_of_comments')} %}
weighed as (
    select
        *,
        {% for part, weight in parts.items() %}ifNull({{ weight }} * {{ part }}, 0){{ ' + ' if not loop.last }}{% endfor %} as sum_of_parts,
        {% for part, weight in parts.items() %}if({{ part }} is null, 0, {{ weight }}){{ ' + ' if not loop.last }}{% endfor %} as sum_of_weights,
        {% for part in parts %}if({{ part }} is null, 0, 1){{ ' + ' if not loop.last }}{% endfor %} as parts_known
    from known
)
select
    platform,
    profile_id,
    if(parts_known >= {{ var('aqs_parts_min') }}, round(100 * sum_of_parts / sum_of_weights), null) as aqs,
    credibility,
    er_percentile,
    growth_health,
    comments_variety,
    parts_known,
    fake_share,
    anomalies_90d
from weighed
