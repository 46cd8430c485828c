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
        -- With its first tag each post brings '', which counts posts with tags.
        arrayJoin(if(row_number() over (partition by profile_id, post_id order by tag) = 1, ['', tag], [tag])) as tag,
        toMonday(toDate(publish_time, '{{ var("timezone") }}')) as week
    from {{ ref('mart_instagram_post_hashtags') }} as instagram
    where publish_time <= {{ now_at() }}
    {% if is_incremental() %}
        and publish_time >= toDateTime({{ period_from() }} - 30, '{{ var("timezone") }}')
    {% endif %}
    union all
    select
        'YOUTUBE' as platform,
        assumeNotNull(channel_id) as profile_id,
        arrayJoin(if(empty(keys), [], arrayConcat([''], keys))) as tag,
        week
    from (
        select
            channel_id,
            {{ hashtag_keys("concatWithSeparator('\\n', ifNull(title, ''), ifNull(description, ''))") }} as keys,
            toMonday(toDate(assumeNotNull(publish_time), '{{ var("timezone") }}')) as week
        from {{ ref('stg_beat_youtube_post') }} as youtube
        where publish_time <= {{ now_at() }} and channel_id is not null
        {% if is_incremental() %}
            and publish_time >= toDateTime({{ period_from() }} - 30, '{{ var("timezone") }}')
        {% endif %}
    ) as videos
),
-- A creator has one category: what all have is the sum of what each category has.
used_in_own as (
    select
        tags.week as week,
        tags.platform as platform,
        ifNull(names.category, '') as own_category,
        tags.tag as tag,
        count() as posts,
        uniqExact(tags.profile_id) as creators
    from tags
    left join (select platform, profile_id, category from {{ ref('mart_profile_attributes') }}) as names
        on names.platform = tags.platform and names.profile_id = tags.profile_id
    group by week, platform, own_category, tag
),
used as (
    select week, platform, category, tag, sum(each.posts) as posts, sum(each.creators) as creators
    from (select *, arrayJoin(arrayDistinct(['', own_category])) as category from used_in_own) as each
    group by week, platform, category, tag
),
-- What never had creators enough is left out before weeks are compared.
series as (
    select platform, category, tag, groupArray((week, posts, creators)) as weeks
    from used
    group by platform, category, tag
    having tag = '' or max(creators) >= {{ var('genre_tag_creators') }}
),
compared as (
    select
        platform,
        category,
        tag,
        tupleElement(of_week, 1) as week,
        tupleElement(of_week, 2) as posts,
        tupleElement(of_week, 3) as creators,
        arraySum(
            other -> if(tupleElement(other, 1) < week and tupleElement(other, 1) >= week - 28, tupleElement(other, 2), 0), weeks
        ) as posts_before
    from (select platform, category, tag, weeks, arrayJoin(weeks) as of_week from series) as told
),
shares as (
    select
        *,
        posts / max(if(tag = '', posts, 0)) over genre as share,
        posts_before / max(if(tag = '', posts_before, 0)) over genre as share_before
    from compared
    window genre as (partition by week, platform, category)
)
select
    week,
    platform,
    category,
    tag,
    posts,
    creators,
    if(posts_before = 0, null, share / share_before) as lift
from shares
where tag != '' and creators >= {{ var('genre_tag_creators') }}
{% if is_incremental() %}
    and {{ in_period('week') }}
{% endif %}
