-- Jobs, credentials and the current state of profiles and posts.

create table scrape_request_log (
    id uuid primary key,
    idempotency_key text,
    platform text not null,
    flow text not null,
    params jsonb not null,
    status text not null default 'PENDING'
        check (status in ('PENDING', 'PROCESSING', 'COMPLETE', 'FAILED', 'EXPIRED', 'CANCELLED')),
    priority smallint not null default 0,        -- higher first
    attempt integer not null default 0,          -- claims; the fence of every write; never resets
    retry_count integer not null default 0,      -- failures only
    created_at timestamptz not null default now(),
    due_at timestamptz not null default now(),   -- not claimed before
    picked_at timestamptz,
    lease_until timestamptz,
    scraped_at timestamptz,                      -- when it reached a final state
    expires_at timestamptz not null,
    source text,                                 -- the source that answered
    data jsonb,                                  -- result or error
    seq integer not null default 0,              -- grows with every change of status
    events integer not null default 0,           -- events committed with this row, traces apart
    awaited boolean not null default false,      -- somebody waits for it: notify when it ends
    constraint lease_while_processing check ((status = 'PROCESSING') = (lease_until is not null)),
    constraint ended_when_final
        check ((status in ('COMPLETE', 'FAILED', 'EXPIRED', 'CANCELLED')) = (scraped_at is not null))
);
create unique index scrape_request_log_idempotency
    on scrape_request_log (idempotency_key)
    where idempotency_key is not null and status in ('PENDING', 'PROCESSING');
create index scrape_request_log_claim
    on scrape_request_log (flow, priority desc, created_at, id) where status = 'PENDING';
create index scrape_request_log_lease on scrape_request_log (lease_until) where status = 'PROCESSING';

create table credential (
    id uuid primary key,
    source text not null,
    handle text not null,                        -- what people call it; never the secret
    credentials jsonb not null,                  -- secret: {"token": ...}
    enabled boolean not null default true,
    disabled_till timestamptz,                   -- a rate limit; null and not enabled: until a new token comes
    data_access_expired boolean not null default false,
    reason text,                                 -- why it was disabled
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (source, handle)
);

-- What the platform follows: the producers' list. Imports add to it; they never touch current state.
create table tracked_profile (
    platform text not null,
    profile_id text not null,
    handle text not null,
    added_at timestamptz not null default now(),
    primary key (platform, profile_id)
);
create index tracked_profile_handle on tracked_profile (platform, lower(handle));

create table instagram_account (
    id uuid not null unique,                     -- our public id
    profile_id text primary key,
    handle text not null,
    full_name text,
    bio text,
    followers bigint,
    following bigint,
    media_count bigint,
    avg_likes double precision,
    avg_comments double precision,
    avg_views double precision,
    engagement_rate double precision,
    profile_type text,
    is_verified boolean,
    is_business boolean,
    category text,
    language text,
    country text,
    city text,
    email text,
    phone text,
    profile_pic_url text,
    audience_gender jsonb,
    audience_age jsonb,
    audience_location jsonb,
    keywords text[],
    source text not null,
    scraped_at timestamptz not null,
    updated_at timestamptz not null default now()
);
create index instagram_account_handle on instagram_account (lower(handle));

create table instagram_post (
    post_id text primary key,
    shortcode text not null,
    profile_id text not null,
    post_type text,
    caption text,
    hashtags text[],
    likes bigint,
    comments bigint,
    plays bigint,
    reach bigint,
    impressions bigint,
    shares bigint,
    saved bigint,
    thumbnail_url text,
    publish_time timestamptz,
    source text not null,
    scraped_at timestamptz not null,
    updated_at timestamptz not null default now()
);
create index instagram_post_shortcode on instagram_post (shortcode);
create index instagram_post_profile on instagram_post (profile_id, publish_time desc, post_id);

create table youtube_account (
    id uuid not null unique,
    channel_id text primary key,
    handle text,
    title text,
    description text,
    subscribers bigint,
    uploads bigint,
    total_views bigint,
    avg_likes double precision,
    avg_comments double precision,
    avg_views double precision,
    engagement_rate double precision,
    plays bigint,
    shorts_reach bigint,
    country text,
    category text,
    language text,
    profile_pic_url text,
    source text not null,
    scraped_at timestamptz not null,
    updated_at timestamptz not null default now()
);
create index youtube_account_handle on youtube_account (lower(handle));

create table youtube_post (
    video_id text primary key,
    channel_id text not null,
    title text,
    description text,
    post_type text check (post_type in ('video', 'short', 'live')),
    views bigint,
    likes bigint,
    comments bigint,
    duration_s integer,
    tags text[],
    thumbnail_url text,
    publish_time timestamptz,
    source text not null,
    scraped_at timestamptz not null,
    updated_at timestamptz not null default now()
);
create index youtube_post_channel on youtube_post (channel_id, publish_time desc, video_id);
