-- Rows that are removed from the event tables, see gcc/pipelines/events/removal.py.

-- name: counted
insert into removed_rows (event_table, condition, parameters, events, emitted)
values (%(table)s, %(condition)s, %(parameters)s, %(events)s, %(emitted)s);

-- name: removed
update removed_rows set removed_at = now() where event_table = %(table)s and removed_at is null;

-- name: forget
-- Current state whose last answer is too old, and what the audit has of that age, a batch at a time. {table} and {at} are
-- declared names, {limit} a literal.
with picked as materialized (
    select ctid from {table} where source = %(source)s and {at} < %(before)s
    limit {limit}
    for update skip locked
)
delete from {table} where ctid = any(array(select ctid from picked));
