-- Profiles that are forgotten, and are not to be stored again (see gcc/pipelines/events/erasure.py). Their ids stay: else
-- nobody could tell who is not to be stored.

create table erased_profile (
    platform text not null,
    profile_id text not null,
    names text[] not null,                       -- its handles, as they were known here
    who text not null,
    why text not null,
    requested_at timestamptz not null default now(),
    erased_at timestamptz,                       -- when all of it was gone for the first time
    primary key (platform, profile_id)
);

create function tell_of_erasure() returns trigger language plpgsql as $$
begin
    perform pg_notify('gcc_erased', '');
    return null;
end $$;
create trigger erased_profile_told after insert or delete on erased_profile
    for each statement execute function tell_of_erasure();
