-- description: Who rose most by followers, one row per platform, scope (all, category, language, country), its value, local month and place
--   up to 50: those inside the scope's top 1,000 by the places gained since the calendar month before (2.5). Who was not among them
--   then is a new entry, as if from the place after the last; a month before which the platform has none knows no movers.
-- materialized: table
-- tags: daily
-- unique_key: platform, scope, value, month, rank
with moves as (
    {% for scope, column, suffix in [('all', '', ''), ('category', 'category', '_by_cat'), ('language', 'language', '_by_lang'), ('country', 'country', '_by_country')] %}
    select
        platform,
        '{{ scope }}' as scope,
        {{ "assumeNotNull(board." ~ column ~ ")" if column else "''" }} as value,
        month,
        profile_id,
        followers,
        followers_rank{{ suffix }} as place,
        -- Who came from outside the top has no place there to start from.
        if(followers_rank{{ suffix }}_prev <= {{ var('movers_top') }}, followers_rank{{ suffix }}_prev, null) as place_prev
    from {{ ref('mart_leaderboard') }} as board
    where followers_rank{{ suffix }} <= {{ var('movers_top') }}
        and (platform, month) in (select platform, addMonths(earlier.month, 1) from {{ ref('mart_leaderboard') }} as earlier)
    {{ 'union all' if not loop.last }}
    {% endfor %}
),
gains as (
    select
        *,
        ifNull(place_prev, {{ var('movers_top') }} + 1) - toInt64(place) as gained
    from moves
)
select
    platform,
    scope,
    value,
    month,
    row_number() over (partition by platform, scope, value, month order by gained desc, place, profile_id) as rank,
    profile_id,
    followers,
    assumeNotNull(place) as place,
    place_prev,
    if(place_prev is null, null, gained) as gain,
    place_prev is null as is_new_entry
from gains
where gained > 0
qualify rank <= {{ var('movers_listed') }}
