-- Changes of accounts that marts told: how far they were announced, and what comes back of them. See
-- gcc/pipelines/analytics/account_upserts.py. {table} and {key} are those of a platform.

-- name: last
select built_at, seq from announced where mart = %(mart)s;

-- name: remember
insert into announced (mart, built_at, seq)
values (%(mart)s, %(at)s, %(seq)s)
on conflict (mart) do update set built_at = excluded.built_at, seq = excluded.seq;

-- name: derive
-- A column that a change does not name stays; category, language and country stay, too, where marts know none. Rows are
-- locked in order of their keys, as crawls do. What is told of a time to come outranks nothing that comes later.
with told as materialized (
    select each ->> 'id' as id, (each ->> 'as_of')::timestamptz as as_of, each -> 'columns' as columns
    from jsonb_array_elements(%(rows)s::jsonb) as each
), held as materialized (
    select account.{key} as id, told.as_of, told.columns
    from {table} as account join told on told.id = account.{key}
    where coalesce(account.derived_at, '-infinity') < told.as_of
    order by account.{key}
    for update of account
)
update {table} as account
set derived_at = least(held.as_of, clock_timestamp()),
    category = coalesce(held.columns ->> 'category', account.category),
    language = coalesce(held.columns ->> 'language', account.language),
    country = coalesce(held.columns ->> 'country', account.country),
    grade = case when held.columns ? 'grade' then held.columns ->> 'grade' else account.grade end,
    growth_7d = case when held.columns ? 'growth_7d' then (held.columns ->> 'growth_7d')::float8 else account.growth_7d end,
    growth_30d = case when held.columns ? 'growth_30d' then (held.columns ->> 'growth_30d')::float8 else account.growth_30d end,
    growth_90d = case when held.columns ? 'growth_90d' then (held.columns ->> 'growth_90d')::float8 else account.growth_90d end
from held
where account.{key} = held.id and coalesce(account.derived_at, '-infinity') < held.as_of;
