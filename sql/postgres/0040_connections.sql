-- Creators who let a partner in: whose account, by which account of the partner's, and what became of it. The tokens are
-- credentials (named by the connection's id); on their way to these they lie sealed in a grant, which no event repeats.

create table connection (
    id uuid primary key,
    partner_id bigint not null references partner,
    account_id uuid not null,
    platform text not null,
    profile_id text not null,
    handle text not null,                        -- as it was then
    source text not null,                        -- of its credential
    scopes text[] not null,
    state text not null default 'ACTIVE' check (state in ('ACTIVE', 'EXPIRED', 'REVOKED')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (partner_id, id),
    unique (partner_id, account_id, platform, profile_id),
    foreign key (partner_id, account_id) references account (partner_id, id)
);
create index connection_listed on connection (partner_id, created_at desc, id desc);
create trigger connection_touched before update on connection for each row execute function grow_updated_at();

-- A creator who is being asked: what the way back must know. Good once, by the digest of what the browser brings. No tenant
-- is known then, so this is held to none.
create table oauth_state (
    hash bytea primary key,                      -- SHA-256
    partner_id bigint not null references partner,
    account_id uuid not null,
    user_id uuid,                                -- who asked; null: not a person
    key_id uuid,                                 -- but this key
    platform text not null,
    verifier text not null,                      -- of PKCE
    redirect_uri text not null,
    return_to text not null,
    expires_at timestamptz not null
);
create index oauth_state_expiry on oauth_state (expires_at);

-- What a creator gave, until a listener has made a credential of it; its event names it by this id.
create table oauth_grant (
    id uuid primary key,
    partner_id bigint not null,
    connection_id uuid not null,
    sealed bytea,                                -- null: it was taken, or its connection was ended
    key_id text,
    created_at timestamptz not null default now(),
    foreign key (partner_id, connection_id) references connection (partner_id, id) on delete cascade,
    check ((sealed is null) = (key_id is null))
);
create index oauth_grant_connection on oauth_grant (partner_id, connection_id);
create index oauth_grant_created on oauth_grant (created_at);

-- A request may end the credential of a connection that it has ended, and know nothing else of credentials.
create function end_credential(whose bigint, ended uuid) returns void language sql security definer
set search_path = pg_catalog, pg_temp
begin atomic
    update credential as k
    set enabled = false, disabled_till = null, reason = 'by hand: its connection was ended', updated_at = now()
    from connection as c
    where c.partner_id = whose and c.id = ended and c.state = 'REVOKED' and k.source = c.source and k.handle = c.id::text;
end;
revoke all on function end_credential from public;

-- select hold_to_tenant('connection');
