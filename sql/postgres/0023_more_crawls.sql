-- What further crawls write: who follows whom, what was done under a post, insights, orders, what channels did.

-- A hashtag's page shows posts without telling whose they are.
alter table instagram_post alter column profile_id drop not null;
alter table youtube_post alter column channel_id drop not null;

create table profile_relationship (
    platform text not null,
    source_profile_id text not null,             -- who follows
    target_profile_id text not null,             -- whom
    relationship_type text not null check (relationship_type in ('follows', 'subscribes')),
    source_handle text,
    target_handle text,
    source text not null,
    first_seen_at timestamptz not null,
    scraped_at timestamptz not null,
    updated_at timestamptz not null default now(),
    primary key (platform, source_profile_id, target_profile_id, relationship_type)
);
create index profile_relationship_target on profile_relationship (platform, target_profile_id);

create table post_activity_log (
    platform text not null,
    activity_id text not null,                   -- the comment's; of a like POST:ACTOR
    activity_type text not null check (activity_type in ('comment', 'like')),
    post_id text not null,
    shortcode text not null,
    profile_id text,                             -- whose post it is
    actor_profile_id text not null,              -- '' where it is not told
    actor_handle text,
    text text,
    parent_id text,                              -- the comment that it answers
    likes bigint,
    replies bigint,
    publish_time timestamptz,
    source text not null,
    scraped_at timestamptz not null,
    updated_at timestamptz not null default now(),
    primary key (platform, activity_id)
);
create index post_activity_log_post on post_activity_log (platform, post_id);

create table instagram_profile_insights (
    profile_id text primary key,
    handle text,
    metrics jsonb not null,
    dimensions jsonb not null,
    source text not null,
    scraped_at timestamptz not null,
    updated_at timestamptz not null default now()
);

create table youtube_profile_insights (
    channel_id text primary key,
    handle text,
    metrics jsonb not null,
    dimensions jsonb not null,
    source text not null,
    scraped_at timestamptz not null,
    updated_at timestamptz not null default now()
);

create table youtube_activity (
    activity_id text primary key,
    channel_id text not null,
    activity_type text not null,
    publish_time timestamptz,
    metrics jsonb not null,
    dimensions jsonb not null,
    source text not null,
    scraped_at timestamptz not null,
    updated_at timestamptz not null default now()
);
create index youtube_activity_channel on youtube_activity (channel_id, publish_time desc);

create table "order" (
    store text not null,
    platform_order_id text not null,
    placed_at timestamptz,
    status text,
    currency text,
    total_price double precision,
    metrics jsonb not null,
    dimensions jsonb not null,
    source text not null,
    scraped_at timestamptz not null,
    updated_at timestamptz not null default now(),
    primary key (store, platform_order_id)
);
