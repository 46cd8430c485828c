-- What is overdue is found without reading what waits, nor what has ended. The bound of infinity, which no claim has,
-- keeps claims from this index: where nothing waited when the statistics were made, the planner takes all for equal.
create index scrape_request_log_expiry on scrape_request_log (expires_at)
    where status = 'PENDING' and expires_at < 'infinity';
