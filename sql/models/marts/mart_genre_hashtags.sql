-- description: Hashtags of a genre (2.8), one row per week of publication (its Monday, local), platform, category ('' = all) and tag that
--   five creators or more used: posts, creators, and lift: its share of the genre's posts with tags in that week over that in the
--   four weeks before (null where it was not used then).
-- materialized: incremental
-- strategy: partitions
-- partition_by: week
-- looks_back: 1
-- tags: genre
-- unique_key: week, platform, category, tag
with tags as (
    select
        'INSTAGRAM' as platform,
        profile_id,
        post_id,
        tag,
        toMonday(toDate(publish_time, '{{ var("timezone") }}')) as week
    from {{ ref('mart_instagram_post_hashtags') }} as instagram
    where publish_time <= {{ now_at() }}
    {% if is_incremental() %}
        and publish_time >= toDateTime({{ period_from() }} - 30, '{{ var("timezone") }}')
    {% endif %}
    union all
    select
        'YOUTUBE' as platform,
        channel_id as profile_id,
        video_id as post_id,
        arrayJoin({{ hashtag_keys("concatWithSeparator('\\n', ifNull(title, ''), ifNull(description, ''))") }}) as tag,
        toMonday(toDate(assumeNotNull(publish_time), '{{ var("timezone") }}')) as week
    from {{ ref('stg_beat_youtube_post') }} as youtube
    where publish_time <= {{ now_at() }} and channel_id is not null
    {% if is_incremental() %}
        and publish_time >= toDateTime({{ period_from() }} - 30, '{{ var("timezone") }}')
    {% endif %}
),
grouped as (
    select
        tags.platform as platform,
        assumeNotNull(tags.profile_id) as profile_id,
        tags.post_id as post_id,
        tags.tag as tag,
        tags.week as week,
        arrayJoin(arrayDistinct(['', ifNull(names.category, '')])) as category
    from tags
    left join {{ ref('mart_profile_attributes') }} as names
        on names.platform = tags.platform and names.profile_id = tags.profile_id
),
used as (
    select week, platform, category, tag, uniqExact(post_id) as posts, uniqExact(profile_id) as creators
    from grouped
    group by week, platform, category, tag
),
genres as (
    select week, platform, category, uniqExact(post_id) as posts
    from grouped
    group by week, platform, category
),
-- What a week's four forerunners had: each week counts for the four after it.
used_before as (
    select arrayJoin([used.week + 7, used.week + 14, used.week + 21, used.week + 28]) as week, platform, category, tag, sum(posts) as posts
    from used
    group by week, platform, category, tag
),
genres_before as (
    select arrayJoin([genres.week + 7, genres.week + 14, genres.week + 21, genres.week + 28]) as week, platform, category, sum(posts) as posts
    from genres
    group by week, platform, category
)
select
    used.week as week,
    used.platform as platform,
    used.category as category,
    used.tag as tag,
    used.posts as posts,
    used.creators as creators,
    (used.posts / genres.posts) / (used_before.posts / genres_before.posts) as lift
from used
inner join genres on genres.week = used.week and genres.platform = used.platform and genres.category = used.category
left join used_before
    on used_before.week = used.week and used_before.platform = used.platform
    and used_before.category = used.category and used_before.tag = used.tag
left join genres_before
    on genres_before.week = used.week and genres_before.platform = used.platform and genres_before.category = used.category
where used.creators >= {{ var('genre_tag_creators') }}
{% if is_incremental() %}
    and {{ in_period('used.week') }}
{% endif %}
