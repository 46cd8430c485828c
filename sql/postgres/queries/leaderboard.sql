-- name: page
-- One page of a month's ranking, with what a page needs beside its first row: one statement, so that a swap of
-- the table can never mix two snapshots. One row at least once the table was synced: `rank` is null when
-- the page is empty. {rank}, {previous_rank} and {scope} are columns of a fixed list, {limit} a literal
-- (a parameter costs a generic plan). The whole platform is the scope `platform` itself. Ranks start at 1,
-- so the first page comes after (0, '').
with snapshot as (
    select snapshot_id, as_of,
           coalesce(%(month)s::date, (select max(month) from leaderboard where platform = %(platform)s)) as month
    from sync_snapshot
    where table_name = 'leaderboard'
)
select head.*, page.*
from snapshot
left join lateral (
    select row_number() over (order by {rank}, profile_id) as place, {rank} as rank, {previous_rank} as previous_rank, platform, profile_id, handle, full_name, followers,
           engagement_rate, views, category, language, country, to_char(month, 'YYYY-MM') as month
    from leaderboard
    where platform = %(platform)s and leaderboard.month = snapshot.month and {rank} is not null
      and lower({scope}) = lower(%(scope)s)
      and ({rank}, profile_id) > (%(after_rank)s, %(after_profile_id)s)
    order by {rank}, profile_id
    limit {limit}
) page on true
left join lateral (
    select snapshot.snapshot_id, snapshot.as_of,
           (select count(*) from leaderboard
            where platform = %(platform)s and month = snapshot.month and {rank} is not null
              and lower({scope}) = lower(%(scope)s)) as total
    where coalesce(page.place, 1) = 1
) head on true
order by page.rank, page.profile_id;
