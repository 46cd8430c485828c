-- description: One row per post of anybody's list and local day: the last known value of that day for each metric.
--   A day is computed again from all its snapshots when it got some since it was computed last, also while no list had the post.
-- materialized: incremental
-- tags: collections
-- unique_key: platform, shortcode, date
-- values: kind = reel, video, image, carousel, story, short, live
select
    platform,
    shortcode,
    date,
    max(at) as last_at,
    {% for name in ['likes', 'comments', 'views', 'plays', 'reach', 'saved', 'shares', 'kind'] %}
    argMaxIf(stg.{{ name }}, stg.version, stg.{{ name }} is not null) as {{ name }},
    {% endfor %}
    now64(6, 'UTC') as built_at
from {{ ref('stg_beat_post_log') }} as stg
where (platform, shortcode) in (select platform, shortcode from {{ ref('stg_coffee_post_collection_item') }})
{% if is_incremental() %}
    and (platform, shortcode, date) in (
        -- Each day by its own build: a post that was in no list at the last ones may have got snapshots before them.
        select told.platform, told.shortcode, told.date
        from {{ ref('stg_beat_post_log') }} as told
        left join (select platform, shortcode, date, built_at from {{ this }} as day final) as built
            on built.platform = told.platform and built.shortcode = told.shortcode and built.date = told.date
        where (told.platform, told.shortcode) in (select platform, shortcode from {{ ref('stg_coffee_post_collection_item') }})
            and ifNull(told.inserted_at >= built.built_at - interval 5 minute, true)
    )
{% endif %}
group by platform, shortcode, date
