-- Dropping what is old (see gcc/pipelines/events/retention.py). {table} and {partition} are put in by it, from its own
-- declarations and from the database; {aside} is the table in which a partition is set aside.

-- name: expired
-- Partitions whose newest event is older than the limit (answered from the parts' min-max index) and in which nothing
-- has arrived or been merged lately: oldest first.
select id
from (select _partition_id as id, max(event_timestamp) as newest from {table} group by id) as of_events
inner join (
    select partition_id as id, max(modification_time) as touched
    from system.parts where active and concat(database, '.', table) = {name:String} group by id
) as of_parts using (id)
where newest < {older_than:DateTime64(6, 'UTC')} and touched < {quiet_since:DateTime64(6, 'UTC')}
order by newest, id;

-- name: make_aside
create table if not exists {aside} as {table};

-- name: set_aside
-- At once for readers and writers; again, after it was cut short, it moves what is left.
alter table {table} move partition id '{partition}' to table {aside};

-- name: count_aside
-- Rows that came twice count once. Groups may spill to the disk, a set of all ids might not fit.
select toUInt64(count()) as events, toUInt64(countIf(by in {emitted_by:Array(String)})) as emitted
from (select event_id, any(origin) as by from {aside} group by event_id);

-- name: drop_aside
-- The files go some minutes later: nobody waits for them under the leader's term.
drop table if exists {aside};
