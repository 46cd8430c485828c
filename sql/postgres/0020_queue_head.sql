-- Of the first frames of a queue: the events that are leased, and when the oldest was written. Whatever the planner
-- believes of the queue's length, it is not to walk and sort the whole.
create function queue_head(wanted text, out leased bigint, out oldest timestamptz) language sql stable
set enable_seqscan = off
set enable_bitmapscan = off
begin atomic
    select coalesce(sum(events) filter (where lease_until > now()), 0), min(created_at)
    from (select events, lease_until, created_at from queue_message where queue = wanted order by id limit 5000) as head;
end;
