-- name: jobs
select flow, status, count(*) from scrape_request_log group by flow, status order by flow, status;

-- name: trouble
select (select count(*) from scrape_request_log where status = 'FAILED' and scraped_at > now() - interval '1 hour'),
       (select greatest(least(coalesce(extract(epoch from now()) - extract(epoch from min(created_at)), 0), 1e9), 0)::float8 from outbox);

-- name: first_crawl
select count(*) filter (where status in ('COMPLETE', 'FAILED', 'EXPIRED', 'CANCELLED')), count(*),
       exists (select 1 from milestone where name = 'first_crawl_enqueued')
from scrape_request_log
where idempotency_key like 'first:%';
