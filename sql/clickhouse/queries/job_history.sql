-- What became of one job (see gcc/stores/job_history.py). A row that was stored twice is one.

-- name: statuses
-- Its changes of status, in order. The job's platform, flow and first day lead to few parts of the table.
select seq, status, reason, retry_count, event_timestamp as at
from _e.scrape_request_log_events
where platform = {platform:String} and flow = {flow:String} and event_timestamp >= {since:DateTime64(6, 'UTC')}
  and scl_id = {id:String}
order by seq, event_timestamp
limit 1 by event_id
limit 500;

-- name: requests
-- What was asked outside for it, in order.
select service_name as source, method, uri, response_status as status, response_size as bytes, time_taken as took_s,
       host_name as host, event_timestamp as at
from _e.trace_log_events
where event_timestamp >= {since:DateTime64(6, 'UTC')} and event_timestamp <= {until:DateTime64(6, 'UTC')}
  and origin = 'gcc' and origin_id = {id:String}
order by event_timestamp, event_id
limit 1 by event_id
limit 200;
