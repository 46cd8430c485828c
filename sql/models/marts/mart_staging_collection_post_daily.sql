-- description: One row per post of anybody's list and local day: the last known value of that day for each metric.
--   A day is computed again from all its snapshots when it got new ones, or when a list has taken the post up since.
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
    and (
        (platform, shortcode, date) in (
            select platform, shortcode, date from {{ ref('stg_beat_post_log') }} where inserted_at >= {{ watermark() }}
        )
        or (platform, shortcode, date) not in (
            select platform, shortcode, date from {{ this }}
        )
    )
{% endif %}
group by platform, shortcode, date
