-- Claims ask for all flows at once, by priority and then by when a job is due: what waits for its time is not read.
create index scrape_request_log_due on scrape_request_log (flow, priority desc, due_at, id) where status = 'PENDING';
drop index scrape_request_log_claim;

-- Flows whose sources lack a credential are claimed again as soon as one may be used: whoever wrote it tells all processes.
create function tell_of_credential() returns trigger language plpgsql as $$
begin
    perform pg_notify('gcc_credentials', left(new.source, 1000));
    return null;
end $$;
create trigger credential_ready after insert or update on credential for each row
    when (new.enabled and not new.data_access_expired and coalesce(new.disabled_till <= now(), true))
    execute function tell_of_credential();
