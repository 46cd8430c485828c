-- A handle that does not exist is not asked for again for a while: by the refreshes of its key that said so.

create index scrape_request_log_not_found on scrape_request_log (idempotency_key, scraped_at)
    where status = 'FAILED' and data ->> 'code' = 'PROFILE_NOT_FOUND';
