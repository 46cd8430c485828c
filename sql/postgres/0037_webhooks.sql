-- Webhooks of tenants: where events go, and each event's way there. See docs/webhooks.md.

create table webhook_endpoint (
    id uuid primary key,
    partner_id bigint not null references partner,
    url text not null check (length(url) <= 2048),
    events text[] not null,                      -- the types that it is told of
    generation integer not null default 1 check (generation > 0), -- of its secret, which is derived and stored nowhere
    rotated_at timestamptz,                      -- for a day from then on the generation before signs, too
    failing_since timestamptz,                   -- null: what was last tried was taken
    disabled_at timestamptz,                     -- nothing is sent to it
    disabled_because text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    unique (partner_id, id),
    check ((disabled_at is null) = (disabled_because is null))
);
create trigger webhook_endpoint_touched before update on webhook_endpoint
    for each row execute function grow_updated_at();

create table webhook_delivery (
    id uuid primary key,
    partner_id bigint not null,
    endpoint_id uuid not null,
    event_id uuid not null,                      -- the same at every try, and when it is replayed
    event_type text not null,
    body bytea not null check (length(body) <= 65536),
    status text not null default 'PENDING' check (status in ('PENDING', 'DELIVERED', 'FAILED')),
    attempt integer not null default 0,          -- grows with every claim, and fences it
    failures integer not null default 0,         -- since it came, or was replayed
    next_at timestamptz not null default now(),
    lease_until timestamptz,                     -- until then somebody is at it
    answered integer,                            -- the status that the last try was answered; null: none
    error text,
    ended_at timestamptz,
    created_at timestamptz not null default now(),
    unique (endpoint_id, event_id),
    foreign key (partner_id, endpoint_id) references webhook_endpoint (partner_id, id) on delete cascade,
    check ((ended_at is null) = (status = 'PENDING'))
);
create index webhook_delivery_due on webhook_delivery (endpoint_id, next_at, id) where status = 'PENDING';
create index webhook_delivery_leased on webhook_delivery (endpoint_id, lease_until) where lease_until is not null;
create index webhook_delivery_listed on webhook_delivery (partner_id, endpoint_id, id);
create index webhook_delivery_created on webhook_delivery (created_at);
