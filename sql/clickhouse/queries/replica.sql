-- What replicas ask of ClickHouse, see gcc/actors/replica.py and gcc/actors/replica_repair.py. {table}, {key_text} and
-- {whose} are put in by them, from their declarations.

-- name: columns
select name, type from system.columns where database = {database:String} and table = {table:String} order by position;

-- name: buckets
-- As PostgreSQL computes them: sql/postgres/queries/replica.sql.
select toUInt8(reinterpretAsUInt8(substring(MD5(key), 1, 1))) as bucket, toUInt64(count()) as total,
       toUInt64(sum(toUInt64(reinterpretAsUInt32(reverse(substring(MD5(concat(key, '\x1f', toString(version))), 1, 4)))))) as hashes
from (select {key_text} as key, max(_version) as version from {table} final group by key)
group by bucket;

-- name: versions
select {key_text} as key, toUInt64(max(_version)) as version from {table} final
group by key
having has({buckets:Array(UInt8)}, reinterpretAsUInt8(substring(MD5(key), 1, 1)));

-- name: newest
-- Deleted ones, too.
select {key_text} as key, toUInt64(max(_version)) as version from {table}
where {key_text} in {keys:Array(String)}
group by key;

-- name: bury
-- Rows that PostgreSQL has no more: of each its key stays. {sort_key} are the columns of the replica's own.
insert into {table} ({sort_key}, updated_at, _version, _deleted)
select {sort_key}, now64(6), _version + 1, toUInt8(1) from {table} final where {key_text} in {keys:Array(String)};

-- name: sweep
-- What they were before is not merely hidden.
alter table {table} delete where _deleted = 0 and {key_text} in (
    select {key_text} as key from {table}
    where {key_text} in (select {key_text} from {table} where _deleted = 1)
    group by key
    having argMax(_deleted, _version) = 1
) settings mutations_sync = 2, allow_nondeterministic_mutations = 1;

-- name: buried
select toUInt64(count()) as total from {table} where _deleted = 1 and _version < {before:UInt64};

-- name: purge
-- Rows that have been deleted since, with what they were before.
alter table {table} delete where {key_text} in (
    select {key_text} as key from {table}
    where {key_text} in (select {key_text} from {table} where _deleted = 1 and _version < {before:UInt64})
    group by key
    having argMax(_deleted, _version) = 1 and max(_version) < {before:UInt64}
) settings mutations_sync = 2, allow_nondeterministic_mutations = 1;

-- name: whose
-- How many rows are of those who are to be forgotten.
select toUInt64(count()) as total from {table} where {whose};

-- name: forget
alter table {table} delete where {whose} settings mutations_sync = 2;
