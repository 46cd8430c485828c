-- What the dashboard reads each second: nothing here is counted over a table that grows with the work.

-- name: tally
-- Rows that could be fewer (`spare`) are for `fold`.
select counted, name, state, sum(number)::bigint, count(*) - 1 as spare from tally
group by counted, name, state
order by counted, name, state;

-- name: fold
-- One row for many: whoever does it meanwhile, too, takes others, and the sums stay.
with held as materialized (
    select ctid from tally limit 50000 for update skip locked
), gone as (
    delete from tally using held where tally.ctid = held.ctid
    returning counted, name, state, number
)
insert into tally
select counted, name, state, sum(number) from gone
group by counted, name, state
having sum(number) <> 0;

-- name: trouble
-- Failures are counted up to a bound; the ages end at 31 years, whatever a row says of its time.
select (select count(*) from (select from scrape_request_log
                              where status = 'FAILED' and scraped_at > now() - interval '1 hour' limit 100000) as failed),
       (select greatest(least(coalesce(extract(epoch from now()) - extract(epoch from min(created_at)), 0), 1e9), 0)::float8
        from (select created_at from outbox order by id limit 1) as oldest),
       exists (select 1 from milestone where name = 'first_crawl_enqueued');
