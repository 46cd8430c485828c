-- description: One row per comment below a post of anybody's list: who wrote it, a hash of its text (equal texts, equal hashes)
--   and its newest sentiment, null until it is judged. Comments that were judged only are comments, too.
-- materialized: table
-- tags: collections
-- unique_key: comment_id
-- values: sentiment = POSITIVE, NEUTRAL, NEGATIVE
with listed as (
    select distinct platform, shortcode from {{ ref('stg_coffee_post_collection_item') }}
),
seen as (
    select
        assumeNotNull(activity.activity_id) as comment_id,
        activity.platform as platform,
        activity.shortcode as shortcode,
        coalesce(nullIf(activity.actor_profile_id, ''), nullIf(activity.actor_handle, '')) as author,
        nullIf(activity.text, '') as text,
        activity.publish_time as publish_time,
        activity.at as at,
        null as sentiment,
        null as score
    from {{ ref('stg_beat_post_activity_log') }} as activity
    where activity.activity_type = 'comment'
        and activity.activity_id != ''
        and (activity.platform, activity.shortcode) in (select platform, shortcode from listed)
),
judged as (
    -- A judgement may leave out the platform: then it is that of the post in the list.
    select
        told.comment_id as comment_id,
        listed.platform as platform,
        told.shortcode as shortcode,
        null as author,
        nullIf(told.comment, '') as text,
        null as publish_time,
        told.event_timestamp as at,
        multiIf(
            upper(told.sentiment) in ('POSITIVE', 'NEUTRAL', 'NEGATIVE'), upper(told.sentiment),
            told.score >= {{ var('sentiment_cut') }}, 'POSITIVE',
            told.score <= -{{ var('sentiment_cut') }}, 'NEGATIVE',
            'NEUTRAL'
        ) as sentiment,
        told.score as score
    from {{ source('_e', 'sentiment_log_events') }} as told
    inner join listed on listed.shortcode = told.shortcode
    where told.comment_id != '' and (told.platform = '' or told.platform = listed.platform)
),
comments as (
    select * from seen
    union all
    select * from judged
)
select
    comment_id,
    argMax(comments.platform, comments.at) as platform,
    argMax(comments.shortcode, comments.at) as shortcode,
    argMaxIf(comments.author, comments.at, comments.author is not null) as author,
    sipHash64(lowerUTF8(trimBoth(argMaxIf(comments.text, comments.at, comments.text is not null)))) as text_hash,
    argMaxIf(comments.publish_time, comments.at, comments.publish_time is not null) as publish_time,
    argMaxIf(comments.sentiment, comments.at, comments.sentiment is not null) as sentiment,
    argMaxIf(comments.score, comments.at, comments.score is not null) as score,
    max(comments.at) as last_at
from comments
group by comment_id
