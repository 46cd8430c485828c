-- Jobs that ended otherwise than well are few, and people look for them among millions that are complete.

create index scrape_request_log_unwell on scrape_request_log (status, id)
    where status in ('FAILED', 'EXPIRED', 'CANCELLED');
