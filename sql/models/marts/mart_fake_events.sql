-- description: One row per post of anybody's list, local day and metric on which something unlikely happened. kinds: SPIKE, its
--   gain per hour stands out of those of its days before (z = .6745 (x - median) / max(MAD, floor) > 6, told from 3 days
--   on); FALL, it fell by more than 5 % since the last earlier day; LIKES_OVER_VIEWS, more liked it than saw it. A post in many
--   lists stands here once, and the row names no tenant.
-- materialized: table
-- tags: collections
-- unique_key: platform, shortcode, date, metric
-- values: metric = likes, comments, views
with readings as (
    {%- for name in ['likes', 'comments', 'views'] %}
    select distinct
        platform,
        shortcode,
        date,
        last_at,
        '{{ name }}' as metric,
        assumeNotNull({{ name }}) as value,
        {{ "likes > views and views > 0" if name == 'likes' else "false" }} as over_views
    from {{ ref('mart_collection_post_ts') }}
    where {{ name }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),
followed as (
    -- toNullable: what is before a post's first reading is unknown, not 0 in 1970.
    select
        *,
        lagInFrame(toNullable(value)) over earlier as earlier_value,
        lagInFrame(toNullable(last_at)) over earlier as earlier_at
    from readings
    window earlier as (
        partition by platform, shortcode, metric order by date rows between unbounded preceding and current row
    )
),
paces as (
    select
        *,
        (value - earlier_value) / greatest(dateDiff('second', earlier_at, last_at) / 3600, 1) as gain_per_h
    from followed
),
-- Of the days before, in their order; an array takes no nulls, and leaves out the first reading, which has no gain.
histories as (
    select
        *,
        groupArray({{ var('fake_days_max') }})(gain_per_h) over (
            partition by platform, shortcode, metric order by date
            rows between {{ var('fake_days_max') }} preceding and 1 preceding
        ) as paces_before
    from paces
),
centres as (
    select *, arrayReduce('quantileExactInclusive(0.5)', paces_before) as median_per_h
    from histories
),
judged as (
    select
        *,
        arrayReduce('quantileExactInclusive(0.5)', arrayMap(x -> abs(x - median_per_h), paces_before)) as mad_per_h,
        if(
            length(paces_before) >= {{ var('fake_days_min') }},
            .6745 * (gain_per_h - median_per_h) / greatest(mad_per_h, {{ var('fake_floor_per_h') }}),
            null
        ) as z
    from centres
),
told as (
    select
        *,
        arrayFilter(kind -> kind != '', [
            if(ifNull(z > {{ var('fake_z') }}, false), 'SPIKE', ''),
            if(ifNull(value < earlier_value * (1 - {{ var('fake_fall') }}), false), 'FALL', ''),
            if(ifNull(over_views, false), 'LIKES_OVER_VIEWS', '')
        ]) as kinds
    from judged
)
select
    platform,
    shortcode,
    date,
    metric,
    kinds,
    value,
    earlier_value,
    gain_per_h,
    z,
    last_at
from told
where notEmpty(kinds)
