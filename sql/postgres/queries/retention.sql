-- What is remembered of partitions that were dropped for their age (see gcc/pipelines/events/retention.py).

-- name: counted
insert into dropped_partition (event_table, partition_id, events, emitted)
values (%(table)s, %(partition)s, %(events)s, %(emitted)s);

-- name: open
-- The partition that was counted and may still be there.
select partition_id from dropped_partition where event_table = %(table)s and dropped_at is null;

-- name: dropped
update dropped_partition set dropped_at = now() where event_table = %(table)s and dropped_at is null;
