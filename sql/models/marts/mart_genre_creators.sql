-- description: Creators of a genre, one row per newest local month, platform, category, kind and place up to 50: TOP by followers, RISING by
--   30 days' growth (2.3, more than none), NEW by followers among those that no month before knows. 1,000 followers or more.
-- materialized: table
-- tags: genre
-- values: kind = TOP, RISING, NEW
-- unique_key: month, platform, category, kind, rank
with newest as (
    select board.platform as platform, max(board.month) as month, min(board.month) as first_month
    from {{ ref('mart_leaderboard') }} as board
    group by platform
),
known_before as (
    select distinct board.platform as platform, board.profile_id as profile_id
    from {{ ref('mart_leaderboard') }} as board
    inner join newest on newest.platform = board.platform
    where board.month < newest.month
),
creators as (
    select
        board.platform as platform,
        board.profile_id as profile_id,
        board.month as month,
        assumeNotNull(board.category) as category,
        board.handle as handle,
        board.followers as followers,
        board.engagement_rate as engagement_rate,
        growth.growth_30d as growth_30d,
        grades.grade as grade,
        -- In the first month of all everybody would be new.
        board.month > newest.first_month
            and (board.platform, board.profile_id) not in (select platform, profile_id from known_before) as is_new
    from {{ ref('mart_leaderboard') }} as board
    inner join newest on newest.platform = board.platform and newest.month = board.month
    left join {{ ref('mart_profile_growth') }} as growth on growth.platform = board.platform and growth.profile_id = board.profile_id
    left join {{ ref('mart_profile_grade') }} as grades on grades.platform = board.platform and grades.profile_id = board.profile_id
    where board.category is not null and board.followers >= {{ var('rank_min_followers') }}
),
kinds as (
    select *, 'TOP' as kind, toFloat64(followers) as size from creators
    union all
    select *, 'RISING' as kind, growth_30d as size from creators where growth_30d > 0
    union all
    select *, 'NEW' as kind, toFloat64(followers) as size from creators where is_new
)
select
    month,
    platform,
    category,
    kind,
    row_number() over (partition by month, platform, category, kind order by size desc, profile_id) as rank,
    profile_id,
    handle,
    followers,
    engagement_rate,
    growth_30d,
    grade
from kinds
qualify rank <= {{ var('genre_creators_listed') }}
