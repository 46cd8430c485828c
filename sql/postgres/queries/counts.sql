-- What the dashboard reads each second: nothing here is counted over a table that grows with the work.

-- name: tally
-- Rows that could be fewer (`spare`) are for `fold`.
select counted, name, state, least(greatest(sum(number), -9e18), 9e18)::bigint, count(*) - 1 as spare from tally
group by counted, name, state
order by counted, name, state;

-- name: fold
-- One row for many, if there are `crowd` or more; answers how many fewer. Whoever does it meanwhile, too, takes others, and
-- the sums stay.
with held as materialized (
    select ctid from tally
    where (select count(*) from (select from tally limit %(crowd)s) as first) = %(crowd)s
    limit {fold_max}
    for update skip locked
), gone as (
    delete from tally using held where tally.ctid = held.ctid
    returning counted, name, state, number
), put as (
    insert into tally
    select counted, name, state, least(greatest(sum(number), -9e18), 9e18) from gone
    group by counted, name, state
    having sum(number) <> 0
    returning 1
)
select (select count(*) from gone) - (select count(*) from put);

-- name: trouble
-- Failures are counted up to a bound; the ages end at 31 years, whatever a row says of its time.
select (select count(*) from (select from scrape_request_log
                              where status = 'FAILED' and scraped_at > now() - interval '1 hour' limit 100000) as failed),
       (select greatest(least(coalesce(extract(epoch from now()) - extract(epoch from min(created_at)), 0), 1e9), 0)::float8
        from (select created_at from outbox order by id limit 1) as oldest),
       exists (select 1 from milestone where name = 'first_crawl_enqueued');

-- name: api_jobs
-- What has not ended, by kind: a partner has a bounded number of such, and each half an index of its own.
with unfinished as (
    select kind, state, created_at from api_job where state = 'PENDING'
    union all
    select kind, state, created_at from api_job where state = 'RUNNING'
)
select kind, state, count(*),
       greatest(least(extract(epoch from now()) - extract(epoch from min(created_at)), 1e9), 0)::float8 as oldest_s
from unfinished
group by kind, state
order by kind, state;
