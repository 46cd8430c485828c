-- description: One row per post in a tenant's list and local day: the day's last figures, and what each gained on the last
--   earlier day on which it was known (null on its first one).
-- materialized: table
-- tags: collections
-- unique_key: collection_id, platform, shortcode, date
with days as (
    select
        platform,
        shortcode,
        date,
        last_at,
        {{ shown_likes('day.likes', 'day.comments') }} as likes,
        if(day.comments < 0, null, day.comments) as comments,
        if(day.kind in ('image', 'carousel'), null, coalesce(day.views, day.plays)) as views,
        day.reach as reach,
        day.saved as saves,
        day.shares as shares
    from {{ ref('mart_staging_collection_post_daily') }} as day final
),
gains as (
    -- anyLast passes over days on which a figure is unknown.
    select
        *
        {%- for name in ['likes', 'comments', 'views', 'reach', 'saves', 'shares'] %},
        {{ name }} - anyLast({{ name }}) over earlier as {{ name }}_gain
        {%- endfor %}
    from days
    window earlier as (
        partition by platform, shortcode order by date rows between unbounded preceding and 1 preceding
    )
)
select
    post.collection_id as collection_id,
    post.partner_id as partner_id,
    gains.platform as platform,
    gains.shortcode as shortcode,
    gains.date as date,
    post.profile_id as profile_id
    {%- for name in ['likes', 'comments', 'views', 'reach', 'saves', 'shares'] %},
    gains.{{ name }} as {{ name }},
    gains.{{ name }}_gain as {{ name }}_gain
    {%- endfor %},
    gains.last_at as last_at
from gains
inner join {{ ref('mart_staging_collection_post') }} as post
    on post.platform = gains.platform and post.shortcode = gains.shortcode
