-- What was answered to an Idempotency-Key, written in the transaction of what it did: for a day the same call gets the same
-- answer and does nothing. See gcc/web/gateway/writing.py.

create table idempotency_key (
    scope bytea primary key,                     -- SHA-256 of the partner, who of it, the route and the key
    partner_id bigint not null references partner,
    fingerprint bytea not null,                  -- SHA-256 of method, target and body
    status smallint not null,
    location text,
    body bytea not null check (length(body) <= 1048576), -- what is shown once is null in it
    expires_at timestamptz not null
);
create index idempotency_key_expires_at on idempotency_key (expires_at);
create index idempotency_key_partner on idempotency_key (partner_id);
