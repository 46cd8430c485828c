-- Who is there: every process of the platform, as it told last; see gcc/stores/processes.py. Written every few seconds
-- and true only while they live: not worth a write-ahead log.

create unlogged table process (
    id uuid primary key,                         -- one life of one
    host text not null,
    pid integer not null,
    version text not null,
    state text not null,                         -- starting, ready, draining
    roles text[] not null,
    drained text[] not null,                     -- roles that drain, or have drained, while the process goes on
    limits jsonb not null,                       -- source -> {"calls", "per_s"}: the same in all, or a mistake
    settings text not null,                      -- where they come from
    started_at timestamptz not null,
    seen_at timestamptz not null
);
