-- Rows that must go before their partition does, see gcc/pipelines/events/removal.py. {table} and {condition} are put in
-- by it, from its own declarations.

-- name: count
-- Rows that came twice count once.
select toUInt64(count()) as events, toUInt64(countIf(by in {emitted_by:Array(String)})) as emitted
from (select event_id, any(origin) as by from {table} where {condition} group by event_id);

-- name: ids
select distinct toString({column}) as id from {table} where {condition} order by id;

-- name: remove
-- Done when it answers: what is to be forgotten is not merely hidden.
alter table {table} delete where {condition} settings mutations_sync = 2;

-- name: rewrite
-- As `remove`: done when it answers. {column} and {value} are the caller's declarations, too.
alter table {table} update {column} = {value} where {condition} settings mutations_sync = 2;
