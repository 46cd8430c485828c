-- Who may ask: accounts and users of partners, their sessions, keys, invitations. A partner's rows refer to its own alone:
-- foreign keys hold partner_id, too, as they run past every policy. Secrets lie here as digests only.

-- Staff of the platform belongs to partner 0, which has no data: an operator sees no tenant's.
insert into partner (id, name) values (0, 'Operators') on conflict do nothing;
create sequence partner_id minvalue 1000;
select setval('partner_id', greatest(1000, (select max(id) + 1 from partner)), false);

create table account (
    id uuid primary key,
    partner_id bigint not null references partner,
    name text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (partner_id, id)
);
create unique index account_name on account (partner_id, lower(name));
insert into account (id, partner_id, name) values (md5('gcc operators')::uuid, 0, 'Operators');

create table app_user (
    id uuid primary key,
    partner_id bigint not null references partner,
    account_id uuid not null,
    email text not null,
    name text not null,
    role text not null check (role in ('VIEWER', 'EDITOR', 'OWNER', 'OPERATOR')),
    password_hash text not null,                 -- argon2id, with its parameters
    disabled_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (partner_id, id),
    foreign key (partner_id, account_id) references account (partner_id, id),
    check ((role = 'OPERATOR') = (partner_id = 0))
);
create unique index app_user_email on app_user (lower(email));
create index app_user_partner on app_user (partner_id, created_at desc, id);

-- Attempts to log in that failed, or run: counted before the password is looked at, taken back when it was right.
create table login_failure (
    id bigint generated always as identity primary key,
    key text not null,                           -- "ip ADDRESS", "email DIGEST"
    at timestamptz not null default now()
);
create index login_failure_key on login_failure (key, at);
create index login_failure_at on login_failure (at);

create table device (
    id uuid primary key,
    client_id text not null,
    created_at timestamptz not null default now()
);

-- One a login. Its refresh tokens are one family: when one is used twice, the session ends.
create table api_session (
    id uuid primary key,
    partner_id bigint not null,
    user_id uuid not null,
    device_id uuid references device on delete set null,
    ip text,
    agent text,
    last_seen_at timestamptz not null default now(), -- to a minute
    expires_at timestamptz not null,             -- whatever is refreshed
    revoked_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (partner_id, id),
    foreign key (partner_id, user_id) references app_user (partner_id, id) on delete cascade
);
create index api_session_user on api_session (partner_id, user_id) where revoked_at is null;
create index api_session_device on api_session (device_id);
create index api_session_expiry on api_session (expires_at);

create table refresh_token (
    hash bytea primary key,                      -- SHA-256
    partner_id bigint not null,
    session_id uuid not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    created_at timestamptz not null default now(),
    foreign key (partner_id, session_id) references api_session (partner_id, id) on delete cascade
);
create index refresh_token_session on refresh_token (partner_id, session_id);

create table invitation (
    id uuid primary key,
    partner_id bigint not null,
    account_id uuid not null,
    email text not null,
    role text not null check (role in ('VIEWER', 'EDITOR', 'OWNER', 'OPERATOR')),
    hash bytea not null unique,
    expires_at timestamptz not null,
    used_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    foreign key (partner_id, account_id) references account (partner_id, id),
    check ((role = 'OPERATOR') = (partner_id = 0))
);
create unique index invitation_email on invitation (partner_id, lower(email)) where used_at is null;
create index invitation_account on invitation (partner_id, account_id);

create table reset_token (
    id uuid primary key,
    partner_id bigint not null,
    user_id uuid not null,
    hash bytea not null unique,
    expires_at timestamptz not null,
    used_at timestamptz,
    created_at timestamptz not null default now(),
    foreign key (partner_id, user_id) references app_user (partner_id, id) on delete cascade
);
create index reset_token_user on reset_token (partner_id, user_id);

create table api_key (
    id uuid primary key,
    partner_id bigint not null references partner,
    prefix text not null unique,                 -- what people know it by
    hash bytea not null,                         -- SHA-256 of the whole key: 190 random bits need no slow hash
    name text not null,
    role text not null check (role in ('VIEWER', 'EDITOR')),
    cidrs cidr[] not null default '{}',          -- where it may be used from; empty: anywhere
    expires_at timestamptz,
    last_used_at timestamptz,                    -- to a minute
    revoked_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index api_key_partner on api_key (partner_id, created_at desc, id);

do $$
declare
    touched text;
begin
    foreach touched in array array['account', 'app_user', 'api_session', 'invitation', 'api_key'] loop
        execute format('create trigger %I before update on %I for each row execute function grow_updated_at()',
                       touched || '_touched', touched);
    end loop;
end $$;
