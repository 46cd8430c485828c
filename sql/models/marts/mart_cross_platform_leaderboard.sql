-- description: One row per person with linked accounts (2.12) and local month: followers of all accounts that the month knows, the best
--   engagement rate of one with 1,000 followers or more, and the rank by followers among persons, with that of the calendar month
--   before (2.5). Accounts are those linked now. Names and groups are those of the account with most followers.
-- materialized: incremental
-- strategy: partitions
-- partition_by: month
-- looks_back: 1
-- tags: daily
-- unique_key: month, person_id
with accounts as (
    {{ accounts_of_persons() }}
),
boards as (
    select
        accounts.person_id as person_id,
        board.platform as platform,
        board.profile_id as profile_id,
        board.month as month,
        board.handle as handle,
        board.full_name as full_name,
        board.profile_pic_url as profile_pic_url,
        board.category as category,
        board.language as language,
        board.country as country,
        board.followers as followers,
        if(board.followers >= {{ var('rank_min_followers') }}, board.engagement_rate, null) as engagement_rate
    from {{ ref('mart_leaderboard') }} as board
    inner join accounts on accounts.platform = board.platform and accounts.profile_id = board.profile_id
    {% if is_incremental() %}
    where board.month >= addMonths({{ period_from() }}, -1) and board.month < {{ period_to() }}
    {% endif %}
),
persons as (
    select
        boards.person_id as person_id,
        boards.month as month,
        {% for name in ['handle', 'full_name', 'profile_pic_url', 'category', 'language', 'country'] %}
        argMaxIf(boards.{{ name }}, (ifNull(boards.followers, -1), boards.platform, boards.profile_id), boards.{{ name }} is not null) as {{ name }},
        {% endfor %}
        count() as accounts,
        arraySort(groupUniqArray(boards.platform)) as platforms,
        sum(boards.followers) as followers,
        max(boards.engagement_rate) as engagement_rate
    from boards
    group by person_id, month
),
ranked as (
    select
        *,
        if(isNull(followers), null, rank() over (partition by month order by followers desc nulls last)) as rank
    from persons
)
select
    present.*,
    before.rank as rank_prev
from ranked as present
left join (select person_id, addMonths(ranked.month, 1) as month, rank from ranked) as before
    on before.person_id = present.person_id and before.month = present.month
{% if is_incremental() %}
where {{ in_period('present.month') }}
{% endif %}
