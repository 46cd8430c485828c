-- What tenants keep (collections, campaigns, groups, links, their contracts and usage), and what a replica needs of each
-- table that it follows: updated_at, which grows with every change of a row, and deleted_at where people delete.
-- See docs/replicas.md. The replica itself makes the indexes (updated_at, key) of the tables that are there already:
-- it can do so while others write.

-- Greater than before, also where a transaction that began earlier changes the row later.
create function grow_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at = greatest(now(), old.updated_at + interval '1 microsecond');
    return new;
end $$;

alter table scrape_request_log add column updated_at timestamptz not null default now();
create trigger scrape_request_log_touched before update on scrape_request_log
    for each row
    -- a heartbeat, which only extends the lease, is no change
    when (new.seq <> old.seq or new.lease_until is not distinct from old.lease_until)
    execute function grow_updated_at();
create trigger credential_touched before update on credential for each row execute function grow_updated_at();
create trigger instagram_account_touched before update on instagram_account for each row execute function grow_updated_at();
create trigger instagram_post_touched before update on instagram_post for each row execute function grow_updated_at();
create trigger youtube_account_touched before update on youtube_account for each row execute function grow_updated_at();
create trigger youtube_post_touched before update on youtube_post for each row execute function grow_updated_at();
create trigger post_activity_log_touched before update on post_activity_log for each row execute function grow_updated_at();
create trigger instagram_profile_insights_touched before update on instagram_profile_insights for each row execute function grow_updated_at();
create trigger youtube_profile_insights_touched before update on youtube_profile_insights for each row execute function grow_updated_at();

-- Every snapshot as the events tell it: empty unless both are written (the audit of a move from rows to events).
create table profile_log (
    event_id uuid primary key,
    platform text not null,
    profile_id text not null,
    handle text,
    metrics jsonb not null,
    dimensions jsonb not null,
    source text not null,
    event_timestamp timestamptz not null,
    updated_at timestamptz not null default now()
);
create index profile_log_updated_at on profile_log (updated_at, event_id);
create index profile_log_profile on profile_log (platform, profile_id, event_timestamp);

-- Media of profiles and posts, as they were copied to the object store.
create table asset_log (
    id uuid primary key,
    platform text not null,
    profile_id text not null,
    entity_type text not null check (entity_type in ('PROFILE', 'POST', 'STORY')),
    entity_id text not null,                     -- the profile's or the post's
    asset_type text not null,
    source_url text not null,
    object_key text,                             -- null: not stored
    cdn_url text,
    bytes bigint,
    status text not null default 'PENDING' check (status in ('PENDING', 'STORED', 'FAILED')),
    attempts integer not null default 0,
    error text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index asset_log_updated_at on asset_log (updated_at, id);
create index asset_log_entity on asset_log (platform, entity_type, entity_id);

-- What people of ours know better than the platforms tell.
create table curated_account (
    platform text not null check (platform in ('INSTAGRAM', 'YOUTUBE')),
    profile_id text not null,
    category text,
    language text,
    country text,
    city text,
    gender text,
    curated_by text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    primary key (platform, profile_id)
);
create index curated_account_updated_at on curated_account (platform, updated_at, profile_id);
create view view_instagram_account_lite as
select profile_id, category, language, country, city, gender, created_at, updated_at, deleted_at
from curated_account where platform = 'INSTAGRAM';
create view view_youtube_account_lite as
select profile_id, category, language, country, city, gender, created_at, updated_at, deleted_at
from curated_account where platform = 'YOUTUBE';

alter table partner
    add column disabled_at timestamptz,
    add column updated_at timestamptz not null default now(),
    add column deleted_at timestamptz;
create index partner_updated_at on partner (updated_at, id);

create table partner_contract (
    id uuid primary key,
    partner_id bigint not null references partner,
    type text not null check (type in ('SAAS', 'CAMPAIGN')),
    plan text not null check (plan in ('FREE', 'SAAS', 'PAID', 'PRO')), -- PRO is read as PAID
    starts_at timestamptz not null,
    ends_at timestamptz not null,                -- no more from then on
    limits jsonb not null default '{}',          -- module -> so many a month, over those of the plan
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    check (starts_at < ends_at)
);
create index partner_contract_partner on partner_contract (partner_id, starts_at);

create table partner_usage (
    id uuid primary key,
    partner_id bigint not null references partner,
    module text not null,
    usage_count bigint not null default 0,
    limit_count bigint not null,
    plan_type text not null,
    valid_from timestamptz not null,
    valid_to timestamptz not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    unique (partner_id, module, valid_from),
    check (usage_count between 0 and limit_count)
);

-- How often a partner's people looked at a profile's page, by day.
create table partner_profile_page_track (
    id uuid primary key,
    partner_id bigint not null references partner,
    platform text not null,
    profile_id text not null,
    day date not null,                           -- UTC
    access_count bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    unique (partner_id, platform, profile_id, day)
);
create index partner_profile_page_track_profile on partner_profile_page_track (platform, profile_id);

create table activity_tracker (
    id uuid primary key,
    partner_id bigint not null references partner,
    account_id uuid,
    user_id text,
    activity_type text not null,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
create index activity_tracker_partner on activity_tracker (partner_id, created_at desc, id);

create table profile_collection (
    id uuid primary key,
    partner_id bigint not null references partner,
    account_id uuid,                             -- null: the whole partner's
    name text not null,
    source text not null default 'SAAS' check (source in ('SAAS', 'GCC_CAMPAIGN')),
    share_id text unique,                        -- who knows it may read
    share_expires_at timestamptz,
    columns jsonb not null default '[]',         -- [{key, title, type}] of custom_data
    version integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    unique (partner_id, id)
);
create unique index profile_collection_name on profile_collection (partner_id, lower(name)) where deleted_at is null;
create index profile_collection_partner on profile_collection (partner_id, updated_at desc, id);

create table profile_collection_item (
    id uuid primary key,
    partner_id bigint not null,
    collection_id uuid not null,
    platform text not null check (platform in ('INSTAGRAM', 'YOUTUBE')),
    platform_profile_id text not null,
    custom_data jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    foreign key (partner_id, collection_id) references profile_collection (partner_id, id) on delete cascade
);
create unique index profile_collection_item_profile
    on profile_collection_item (collection_id, platform, platform_profile_id) where deleted_at is null;
create index profile_collection_item_partner on profile_collection_item (partner_id, collection_id, id);
create index profile_collection_item_person on profile_collection_item (platform, platform_profile_id);

create table post_collection (
    id uuid primary key,
    partner_id bigint not null references partner,
    account_id uuid,
    name text not null,
    source text not null default 'SAAS' check (source in ('SAAS', 'GCC_CAMPAIGN')),
    share_id text unique,
    share_expires_at timestamptz,
    columns jsonb not null default '[]',
    ingestion_frequency text not null default 'DAILY' check (ingestion_frequency in ('NONE', 'DAILY', 'HOURLY')),
    show_in_report boolean not null default true,
    from_date date,                              -- of a campaign; null: open
    to_date date,
    version integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    unique (partner_id, id)
);
create unique index post_collection_name on post_collection (partner_id, lower(name)) where deleted_at is null;
create index post_collection_partner on post_collection (partner_id, updated_at desc, id);

create table post_collection_item (
    id uuid primary key,
    partner_id bigint not null,
    collection_id uuid not null,
    platform text not null check (platform in ('INSTAGRAM', 'YOUTUBE')),
    post_shortcode text not null,                -- of YouTube the video's id
    platform_profile_id text,                    -- whose post it is, where that is known
    custom_data jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    foreign key (partner_id, collection_id) references post_collection (partner_id, id) on delete cascade
);
create unique index post_collection_item_post
    on post_collection_item (collection_id, platform, post_shortcode) where deleted_at is null;
create index post_collection_item_partner on post_collection_item (partner_id, collection_id, id);
create index post_collection_item_shortcode on post_collection_item (platform, post_shortcode);
create index post_collection_item_person on post_collection_item (platform, platform_profile_id);

create table keyword_collection (
    id uuid primary key,
    partner_id bigint not null references partner,
    account_id uuid,
    name text not null,
    keywords text[] not null,
    platforms text[] not null,
    from_date date,
    to_date date,
    status text not null default 'PENDING' check (status in ('PENDING', 'RUNNING', 'COMPLETE', 'FAILED')),
    job_id uuid,
    report_key text,                             -- in the object store, once it is complete
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
create index keyword_collection_partner on keyword_collection (partner_id, updated_at desc, id);

create table collection_group (
    id uuid primary key,
    partner_id bigint not null references partner,
    account_id uuid,
    name text not null,
    collection_ids jsonb not null default '[]' check (jsonb_typeof(collection_ids) = 'array'), -- of either kind, all own
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
create unique index collection_group_name on collection_group (partner_id, lower(name)) where deleted_at is null;

-- A tenant's creators of its campaigns: what was agreed with them, and its own notes.
create table campaign_profiles (
    id uuid primary key,
    partner_id bigint not null references partner,
    account_id uuid,
    platform text not null check (platform in ('INSTAGRAM', 'YOUTUBE')),
    profile_id text not null,
    handle text,
    price numeric(14, 2) check (price >= 0),     -- agreed for a post, in `currency`; null: nothing is agreed
    currency text not null default 'INR' check (length(currency) = 3),
    tags text[] not null default '{}',
    status text,
    notes text,
    email text,
    phone text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
create unique index campaign_profiles_profile
    on campaign_profiles (partner_id, platform, profile_id) where deleted_at is null;
create index campaign_profiles_person on campaign_profiles (platform, profile_id);

-- Figures of collections as their reports told them.
create table collection_analytics (
    id uuid primary key,
    partner_id bigint not null references partner,
    collection_type text not null check (collection_type in ('PROFILE', 'POST')),
    collection_id uuid not null,
    day date not null,
    metrics jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    unique (partner_id, collection_type, collection_id, day)
);

-- Two profiles are one person's: a tenant's assertion, seen by it alone, or ours (no partner).
create table social_link (
    id uuid primary key,
    partner_id bigint references partner,
    platform text not null check (platform in ('INSTAGRAM', 'YOUTUBE')),
    profile_id text not null,
    linked_platform text not null check (linked_platform in ('INSTAGRAM', 'YOUTUBE')),
    linked_profile_id text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
create unique index social_link_pair
    on social_link (coalesce(partner_id, 0), platform, profile_id, linked_platform, linked_profile_id)
    where deleted_at is null;
create index social_link_person on social_link (platform, profile_id);
create index social_link_linked on social_link (linked_platform, linked_profile_id);

do $$
declare
    followed text;
begin
    foreach followed in array array[
        'partner_contract', 'partner_usage', 'partner_profile_page_track', 'activity_tracker', 'profile_collection',
        'profile_collection_item', 'post_collection', 'post_collection_item', 'keyword_collection', 'collection_group',
        'campaign_profiles', 'collection_analytics', 'social_link'
    ] loop
        execute format('create index %I on %I (updated_at, id)', followed || '_updated_at', followed);
    end loop;
    foreach followed in array array[
        'profile_log', 'asset_log', 'curated_account', 'partner', 'partner_contract', 'partner_usage',
        'partner_profile_page_track', 'activity_tracker', 'profile_collection', 'profile_collection_item',
        'post_collection', 'post_collection_item', 'keyword_collection', 'collection_group', 'campaign_profiles',
        'collection_analytics', 'social_link'
    ] loop
        execute format('create trigger %I before update on %I for each row execute function grow_updated_at()',
                       followed || '_touched', followed);
    end loop;
end $$;

-- How far each replica has read: the row of `updated_at` and `key` is there, and what was before it.
create table replica_position (
    name text primary key,                       -- the table in ClickHouse, with its database
    updated_at timestamptz not null,
    key text[] not null,
    backfilled_at timestamptz,                   -- when it had read all that was there
    repaired_at timestamptz
);
