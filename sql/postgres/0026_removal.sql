-- Rows of the event tables that went before their partition did: their source lets nobody keep them longer, or they are
-- of a profile that is to be forgotten. A row here is written after they were counted, and before they are deleted.

create table removed_rows (
    id bigint generated always as identity primary key,
    event_table text not null,
    condition text not null,                     -- which rows, in ClickHouse's words, with {parameters}
    parameters jsonb not null,
    events bigint not null check (events >= 0),  -- different ids
    emitted bigint not null,                     -- of these, what we emitted: what `check` counts, of counted tables
    counted_at timestamptz not null default now(),
    removed_at timestamptz                       -- null: they may still be there
);
create unique index removed_rows_open on removed_rows (event_table) where removed_at is null;
