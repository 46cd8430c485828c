-- description: One row per post: the latest known value of each metric, and its kind: what was told of it, else by its length
--   (2.11). Posts that got new snapshots are computed again.
-- materialized: incremental
-- tags: core
-- values: kind = reel, video, image, carousel, story, short, live
-- unique_key: platform, profile_id, shortcode
{%- set columns = [('post_id', 'stg.post_id'), ('last_at', 'stg.at')] %}
{%- for name in ['publish_time', 'likes', 'comments', 'views', 'plays', 'reach', 'saved', 'shares', 'duration_s'] %}
{%- set _ = columns.append((name, 'stg.' ~ name)) %}
{%- endfor %}
{%- set _ = columns.append(('kind_told', 'if(stg.post_type is null, null, stg.kind)')) %}
{%- set _ = columns.append(('kind_by_length', 'stg.kind')) %}
{%- set touched %}
(platform, profile_id, shortcode) in (
    select platform, profile_id, shortcode from {{ ref('stg_beat_post_log') }} where {{ stands_since(watermark()) }}
)
{%- endset %}
select
    * except (kind_told, kind_by_length),
    coalesce(kind_told, kind_by_length) as kind,
    now64(6, 'UTC') as built_at
from (
    {{ last_known(
        ref('stg_beat_post_log') ~ ' as stg',
        [('platform', 'stg.platform'), ('profile_id', 'stg.profile_id'), ('shortcode', 'stg.shortcode')],
        'stg.at, stg.version',
        columns,
        touched if is_incremental() else 'true',
    ) }}
) as posts
