-- What people changed while the platform runs, and who did it and why.

-- Live overrides: `pause:<actor>` is true, `concurrency:<flow>` a number. No row: as configured.
create table override (
    name text primary key,
    value jsonb not null,
    who text not null,
    why text not null,
    at timestamptz not null
);

-- The action log. `things` is how many jobs an action moved; null: not counted, or cut off before its end.
create table action (
    id uuid primary key,
    at timestamptz not null,
    who text not null,
    why text not null,
    verb text not null,
    target text not null,
    things bigint,
    detail jsonb
);
create index action_at on action (at desc, id desc);
