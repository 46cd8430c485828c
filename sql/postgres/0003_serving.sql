-- Tenants, leadership, schedules, and the tables synced from marts.

create table partner (
    id bigint primary key,
    name text not null,
    created_at timestamptz not null default now()
);
insert into partner (id, name) values (1, 'Development');

create table leader (
    name text primary key,
    holder text not null,
    term bigint not null,
    until timestamptz not null
);

create table schedule_run (
    id uuid primary key,
    schedule text not null,
    started_at timestamptz not null,
    ended_at timestamptz,
    status text not null check (status in ('RUNNING', 'COMPLETE', 'FAILED', 'CANCELLED')),
    detail jsonb
);
create index schedule_run_schedule on schedule_run (schedule, started_at desc);

create table leaderboard (
    platform text not null,
    profile_id text not null,
    month date not null,                         -- its first day, in the reports' time zone
    handle text not null,
    full_name text,
    profile_pic_url text,
    followers bigint,
    engagement_rate double precision,
    views bigint,
    category text,
    language text,
    country text,
    followers_rank integer, followers_rank_by_cat integer, followers_rank_by_lang integer, followers_rank_by_country integer,
    engagement_rate_rank integer, engagement_rate_rank_by_cat integer, engagement_rate_rank_by_lang integer, engagement_rate_rank_by_country integer,
    views_rank integer, views_rank_by_cat integer, views_rank_by_lang integer, views_rank_by_country integer,
    followers_rank_prev integer, followers_rank_by_cat_prev integer, followers_rank_by_lang_prev integer, followers_rank_by_country_prev integer,
    engagement_rate_rank_prev integer, engagement_rate_rank_by_cat_prev integer, engagement_rate_rank_by_lang_prev integer, engagement_rate_rank_by_country_prev integer,
    views_rank_prev integer, views_rank_by_cat_prev integer, views_rank_by_lang_prev integer, views_rank_by_country_prev integer,
    constraint leaderboard_pkey primary key (platform, profile_id, month)
);
create index leaderboard_followers on leaderboard (platform, month, followers_rank, profile_id);
create index leaderboard_engagement_rate on leaderboard (platform, month, engagement_rate_rank, profile_id);
create index leaderboard_views on leaderboard (platform, month, views_rank, profile_id);
create index leaderboard_category on leaderboard (platform, month, category);
create index leaderboard_language on leaderboard (platform, month, language);

create table social_profile_time_series (
    platform text not null,
    profile_id text not null,
    date date not null,                          -- in the reports' time zone
    followers bigint,
    following bigint,
    media_count bigint,
    views bigint,
    engagement double precision,                 -- engagement rate of that day's last snapshot
    constraint social_profile_time_series_pkey primary key (platform, profile_id, date)
);

-- Which run of a sync the live table came from; cursors carry snapshot_id.
create table sync_snapshot (
    table_name text primary key,
    snapshot_id uuid not null,
    term bigint not null,
    rows bigint not null,
    as_of timestamptz not null
);
