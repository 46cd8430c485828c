-- name: mart_columns
select name, type from system.columns where database = 'dbt' and table = {mart:String};

-- name: describe
describe ({select});

-- name: export
-- {columns} and {source} are put in by the sync, which has read them from the databases.
select {columns} from {source};

-- name: months
-- How many rows it has of each month. {day} and {source} as above.
select toStartOfMonth({day}) as first, count() as rows from {source} group by first;

-- name: built
select model, max(started_at) as at from dbt.model_run where error = '' group by model;

-- name: first_since
-- When the first build after that one began: what it and later ones made has a later built_at than this.
select min(started_at) as at from dbt.model_run
where model in {names:Array(String)} and started_at > toDateTime64({after:String}, 6, 'UTC');

-- name: trending_content
-- With the place that a post has in its category and language, in the newest week.
select trending.*, genre.rank as genre_rank
from dbt.mart_trending_content as trending
left join (
    select platform, shortcode, min(rank) as rank
    from dbt.mart_genre_trending_content
    where week = (select max(week) from dbt.mart_genre_trending_content)
    group by platform, shortcode
) as genre on genre.platform = trending.platform and genre.shortcode = trending.shortcode
settings join_use_nulls = 1;

-- name: linked_social
-- Those that are taken for one person (2.12).
select platform, profile_id, other_platform as linked_platform, other_profile_id as linked_profile_id, partner_id, person_id,
       score, evidence
from dbt.mart_linked_socials
where score >= 0.6;
