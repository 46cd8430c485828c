-- What is known of a credential beside its secret, the rests that are wider or narrower than one, and how much each is used.

alter table credential
    add column kind text not null default 'token',             -- how it may be used and renewed; see gcc/sources/credentials.py
    add column app text not null default '',                   -- who was given it: what throttles an app throttles all of its
    add column account text,                                   -- whose own it is: an Instagram user id, a channel id, a shop
    add column scopes text[] not null default '{}',
    add column issued_at timestamptz not null default now(),   -- when its secret came
    add column expires_at timestamptz,                         -- the secret's end; null: none is known
    add column data_access_expires_at timestamptz,
    add column version integer not null default 1,             -- grows with each new secret: the fence of every verdict on one
    add column sealed bytea,                                   -- the secret, encrypted under the key with this id
    add column key_id text,
    add column renewing_at timestamptz,                        -- a renewal was asked for, and its answer is not stored
    add column probed_at timestamptz,
    alter column credentials drop not null;                    -- the secret as it was before there were keys
update credential
set account = credentials ->> 'ig_user_id'
where jsonb_typeof(credentials -> 'ig_user_id') = 'string';
update credential set issued_at = updated_at;

create table credential_rest (
    source text not null,
    scope text not null check (scope in ('bucket', 'app', 'source')), -- a rest of the credential alone is its disabled_till
    key text not null,                                         -- the credential's id, the app, nothing
    bucket text not null,
    till timestamptz not null,
    reason text not null,
    updated_at timestamptz not null default now(),
    primary key (source, scope, key, bucket)
);

create table credential_use (
    id uuid primary key references credential on delete cascade,
    uses bigint not null,
    used_at timestamptz not null
);

-- A rest that a person ends by hand wakes everybody.
create or replace function tell_of_rest() returns trigger language plpgsql as $$
begin
    perform pg_notify('gcc_credentials', left(old.source, 1000));
    return null;
end $$;
create trigger credential_rest_ended after delete on credential_rest for each row execute function tell_of_rest();
