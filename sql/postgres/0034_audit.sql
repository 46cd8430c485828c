-- The audit of the way to events (postgres.audit, docs/migration.md): what is emitted as profile_log and post_log events stands
-- in tables of these names, too. profile_log is there since 0031.

alter table profile_log add column origin text not null default 'gcc';  -- or 'import'
create table post_log (
    event_id uuid primary key,
    origin text not null default 'gcc',
    platform text not null,
    profile_id text not null,
    handle text,
    shortcode text not null,
    post_id text,
    publish_time timestamptz,
    metrics jsonb not null,
    dimensions jsonb not null,
    source text not null,
    event_timestamp timestamptz not null,
    updated_at timestamptz not null default now()
);
create index post_log_updated_at on post_log (updated_at, event_id);
create index post_log_profile on post_log (platform, profile_id, event_timestamp);
