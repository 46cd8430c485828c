-- description: The leaderboard of Instagram as it stands: one row per profile that is known in the newest month.
-- materialized: view
-- tags: core
select *
from {{ ref('mart_instagram_leaderboard') }} as board
where month = (select max(month) from {{ ref('mart_leaderboard') }} where platform = 'INSTAGRAM')
