-- name: lock
-- One migrator at a time; freed with the transaction. The number is this platform's own.
select pg_advisory_xact_lock(4711002301)

-- name: create_ledger
-- The table that tells which files this database has seen.
create table if not exists schema_migration (
    number integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
)

-- name: read_ledger
-- What was applied, in order.
select number, name, checksum from schema_migration order by number

-- name: await_jobs
-- Every change of a job begins with its row, and goes on to other tables. Processes of the release before may be at it:
-- they come to the end first, and the next wait here, where they hold nothing that a file could wait for.
do $$ begin
    if to_regclass('scrape_request_log') is not null then
        lock table scrape_request_log in exclusive mode;
    end if;
end $$

-- name: record
-- Written in the transaction of the migration itself.
insert into schema_migration (number, name, checksum) values (%s, %s, %s)
