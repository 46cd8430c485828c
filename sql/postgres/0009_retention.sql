-- What was dropped of the event tables for its age, so that `check` can count it. A row is written after the partition
-- was set aside and counted, and before it is dropped.

create table dropped_partition (
    id bigint generated always as identity primary key,
    event_table text not null,
    partition_id text not null,                  -- ClickHouse's; the same may come again, with events that came late
    events bigint not null check (events >= 0),  -- different ids
    emitted bigint not null,                     -- of these, what we emitted: what `check` counts, of counted tables
    counted_at timestamptz not null default now(),
    dropped_at timestamptz                       -- null: what was set aside may still be there
);
create unique index dropped_partition_open on dropped_partition (event_table) where dropped_at is null;
