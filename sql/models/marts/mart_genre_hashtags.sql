-- description: Hashtags of a genre (2.8), one row per week of publication (its Monday, local), platform, category ('' = all) and tag that
--   five creators or more used: posts, creators, and lift: its share of the genre's posts with tags in that week over that in the
--   four weeks before (null where it was not used then).
-- materialized: incremental
-- strategy: partitions
-- partition_by: week
-- looks_back: 1
-- tags: genre
-- unique_key: week, platform, category, tag
with instagram as (
    select profile_id, post_id, tag, toMonday(toDate(publish_time, '{{ var("timezone") }}')) as week
    from {{ ref('mart_instagram_post_hashtags') }} as tagged
    where publish_time <= {{ now_at() }}
    {% if is_incremental() %}
        and publish_time >= toDateTime({{ period_from() }} - 30, '{{ var("timezone") }}')
        and toDate(publish_time, '{{ var("timezone") }}') < {{ period_to() }} + 7
    {% endif %}
),
youtube as (
    select
        assumeNotNull(channel_id) as profile_id,
        toMonday(toDate(assumeNotNull(publish_time), '{{ var("timezone") }}')) as week,
        {{ hashtag_keys("concatWithSeparator('\\n', ifNull(title, ''), ifNull(description, ''))") }} as tags
    from {{ ref('stg_beat_youtube_post') }} as video
    where publish_time <= {{ now_at() }} and channel_id is not null
    {% if is_incremental() %}
        and publish_time >= toDateTime({{ period_from() }} - 30, '{{ var("timezone") }}')
        and toDate(publish_time, '{{ var("timezone") }}') < {{ period_to() }} + 7
    {% endif %}
),
-- One row per post and tag, with its week, and again as the creator's: of a week's posts with the tag the first one brings it.
-- Instagram's are read as they lie.
told as (
    select
        'INSTAGRAM' as platform,
        profile_id,
        tag,
        week,
        row_number() over (partition by profile_id, tag, week) as nth
    from instagram
    union all
    select 'YOUTUBE' as platform, profile_id, used.1 as tag, week, used.2 as nth
    from (
        select profile_id, week, arrayJoin(arrayZip(tags, arrayEnumerateUniq(tags))) as used
        from (select profile_id, week, groupArrayArray(youtube.tags) as tags from youtube group by profile_id, week) as of_week
    ) as videos
),
posts as (
    select distinct 'INSTAGRAM' as platform, profile_id, post_id, week from instagram
    union all
    select 'YOUTUBE' as platform, profile_id, '' as post_id, week from youtube where notEmpty(tags)
),
names as (
    select platform, profile_id, category from {{ ref('mart_profile_attributes') }}
),
-- A creator has one category: what all have is the sum of what each category has.
used_in_own as (
    select
        told.platform as platform,
        ifNull(names.category, '') as own_category,
        told.tag as tag,
        groupArray(told.week) as post_weeks,
        groupArrayIf(told.week, told.nth = 1) as creator_weeks
    from told
    left join names on names.platform = told.platform and names.profile_id = told.profile_id
    group by platform, own_category, tag
),
used as (
    select platform, category, tag, groupArrayArray(each.post_weeks) as post_weeks, groupArrayArray(each.creator_weeks) as creator_weeks
    from (select *, arrayJoin(arrayDistinct(['', own_category])) as category from used_in_own) as each
    group by platform, category, tag
    having length(creator_weeks) >= {{ var('genre_tag_creators') }}
),
compared as (
    select
        platform,
        category,
        tag,
        week,
        countEqual(post_weeks, week) as posts,
        countEqual(creator_weeks, week) as creators,
        arrayCount(other -> other < week and other >= week - 28, post_weeks) as posts_before
    from (select *, arrayJoin(arrayDistinct(creator_weeks)) as week from used) as of_weeks
    where creators >= {{ var('genre_tag_creators') }}
),
-- Posts with tags, of the week and of the four before.
genre_weeks as (
    select
        platform,
        category,
        week,
        posts,
        sum(each.posts) over (partition by platform, category order by week range between 28 preceding and 1 preceding) as posts_before
    from (
        select posts.platform as platform, posts.week as week, arrayJoin(arrayDistinct(['', ifNull(names.category, '')])) as category, count() as posts
        from posts
        left join names on names.platform = posts.platform and names.profile_id = posts.profile_id
        group by platform, week, category
    ) as each
)
select
    compared.week as week,
    compared.platform as platform,
    compared.category as category,
    compared.tag as tag,
    compared.posts as posts,
    compared.creators as creators,
    if(compared.posts_before = 0, null, (compared.posts / genre_weeks.posts) / (compared.posts_before / genre_weeks.posts_before)) as lift
from compared
inner join genre_weeks on genre_weeks.platform = compared.platform and genre_weeks.category = compared.category and genre_weeks.week = compared.week
{% if is_incremental() %}
where {{ in_period('week') }}
{% endif %}
