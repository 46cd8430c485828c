-- The outbox, the queues of the PostgreSQL exchange, dead letters, and what imports emitted.

create table outbox (
    id bigint generated always as identity primary key,
    frame_id uuid not null,
    exchange text not null,
    routing_key text not null,
    events integer not null check (events > 0),
    body bytea not null,                         -- newline-delimited JSON, one event a line
    created_at timestamptz not null default now()
);

create table binding (
    exchange text not null,
    routing_key text not null,
    queue text not null,
    primary key (exchange, routing_key, queue)
);

create table queue_message (
    id bigint generated always as identity primary key,
    queue text not null,
    frame_id uuid not null,
    exchange text not null,
    routing_key text not null,
    events integer not null,
    body bytea not null,
    created_at timestamptz not null,             -- when its outbox row was written
    lease_until timestamptz,
    deliveries integer not null default 0
);
create index queue_message_queue on queue_message (queue, id);
-- Rows come and go by the thousand: keep dead ones few, or every claim wades through them.
alter table queue_message set (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);
alter table outbox set (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);

create table dead_letter (
    id uuid primary key,
    queue text not null,
    exchange text not null,
    routing_key text not null,
    frame_id uuid not null,
    events integer not null,
    reason text not null,
    object_key text not null,                    -- the body, in the object store
    created_at timestamptz not null default now(),
    replayed_at timestamptz
);
create index dead_letter_queue on dead_letter (queue, created_at);

-- One row for each committed batch of an import; `events` is what it put into the outbox.
create table import_ledger (
    id uuid primary key,
    name text not null,
    events integer not null,
    created_at timestamptz not null default now()
);
-- The ids of imported snapshots: an import that runs again adds nothing.
create table imported_snapshot (event_id uuid primary key);

-- Counts of rows that were pruned, so that sums over the rows stay true.
create table counted_total (
    name text primary key,
    events bigint not null default 0
);

-- What happens once in the life of a platform: the history was imported, the first crawl was enqueued, ...
create table milestone (
    name text primary key,
    at timestamptz not null default now(),
    detail jsonb
);
