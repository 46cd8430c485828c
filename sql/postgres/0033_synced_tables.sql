-- The tables that are synced from marts, beside leaderboard and social_profile_time_series: see docs/schedules.md. What is
-- swapped keeps these columns, keys, indexes and views, whatever the mart has beside them. And what schedules remember.

alter table sync_snapshot add column built_at timestamptz; -- when the build of what was read began; null: not known
create table sync_refusal (
    table_name text primary key,
    why text not null,
    refused_at timestamptz not null,
    accepted_by text,                            -- who lets the next run through, once
    accepted_at timestamptz
);

-- What producers asked for in a period.
create table produced_job (
    flow text not null,
    period text not null,                        -- its first hour
    id text not null,
    at timestamptz not null default now(),
    primary key (flow, period, id)
);
create index produced_job_at on produced_job (at);

-- How far the changes of accounts were announced, by mart.
create table announced (
    mart text primary key,
    built_at timestamptz not null,
    seq bigint not null
);

-- What marts know of accounts; `derived_at` is as of when.
alter table instagram_account
    add column derived_at timestamptz,
    add column grade text,
    add column growth_7d double precision,
    add column growth_30d double precision,
    add column growth_90d double precision;
alter table youtube_account
    add column derived_at timestamptz,
    add column grade text,
    add column growth_7d double precision,
    add column growth_30d double precision,
    add column growth_90d double precision;

alter table leaderboard
    add column views_gained bigint,
    add column followers_rank_by_cat_lang integer,
    add column engagement_rate_rank_by_cat_lang integer,
    add column views_rank_by_cat_lang integer,
    add column followers_rank_by_cat_lang_prev integer,
    add column engagement_rate_rank_by_cat_lang_prev integer,
    add column views_rank_by_cat_lang_prev integer;
drop index leaderboard_category, leaderboard_language; -- 0035 makes others

create table genre_overview (
    month date not null,
    platform text not null,
    category text not null,                      -- '': all
    language text not null,                      -- '': all
    creators bigint,
    posts bigint,
    median_engagement_rate double precision,
    avg_views double precision,
    followers bigint,                            -- all together
    creators_change bigint,                      -- on the month before, as the next ones
    posts_change bigint,
    median_engagement_rate_change double precision,
    avg_views_change double precision,
    followers_change bigint,
    primary key (month, platform, category, language)
);
create index genre_overview_creators on genre_overview (platform, month, creators desc);

create table trending_content (
    platform text not null,
    shortcode text not null,
    post_id text,
    profile_id text,
    handle text,
    kind text,
    publish_time timestamptz,
    category text,
    language text,
    country text,
    views bigint,
    likes bigint,
    comments bigint,
    engagement bigint,
    engagement_rate double precision,
    score double precision,
    genre_rank integer,                          -- in its category and language, in the newest week
    primary key (platform, shortcode)
);
create index trending_content_score on trending_content (platform, score desc);
create index trending_content_category on trending_content (platform, category, score desc);
create index trending_content_language on trending_content (platform, language, score desc);

create table collection_post_metrics_summary (
    collection_type text not null,
    collection_id uuid not null,
    partner_id bigint not null,
    level text not null,                         -- POST, or COLLECTION, of which platform and shortcode are ''
    platform text not null,
    shortcode text not null,
    profile_id text,
    post_id text,
    publish_time timestamptz,
    posts bigint,
    items bigint,
    creators bigint,
    likes bigint,
    comments bigint,
    views bigint,
    reach bigint,
    saves bigint,
    shares bigint,
    engagement bigint,
    followers bigint,
    engagement_rate double precision,
    er_by_views double precision,
    sponsored_posts bigint,
    emv double precision,
    currency text,
    last_at timestamptz,
    primary key (collection_type, collection_id, level, platform, shortcode)
);
create index collection_post_metrics_summary_partner on collection_post_metrics_summary (partner_id, collection_id);
create index collection_post_metrics_summary_views on collection_post_metrics_summary (collection_id, views desc);
create view collection_post_metrics as
select collection_id, partner_id, platform, shortcode, post_id, profile_id, publish_time, likes, comments, views, reach,
       saves, shares, engagement, engagement_rate, er_by_views, emv, currency, last_at
from collection_post_metrics_summary where level = 'POST';

create table collection_post_metrics_ts (
    collection_id uuid not null,
    partner_id bigint not null,
    platform text not null,
    shortcode text not null,
    date date not null,                          -- in the reports' time zone
    profile_id text,
    likes bigint, likes_gain bigint,
    comments bigint, comments_gain bigint,
    views bigint, views_gain bigint,
    reach bigint, reach_gain bigint,
    saves bigint, saves_gain bigint,
    shares bigint, shares_gain bigint,
    last_at timestamptz,
    primary key (collection_id, platform, shortcode, date)
);
create index collection_post_metrics_ts_partner on collection_post_metrics_ts (partner_id);
create index collection_post_metrics_ts_date on collection_post_metrics_ts (collection_id, date);

create table social_profile_hashtags (
    platform text not null,
    profile_id text not null,
    tag text not null,                           -- folded (2.8)
    label text,                                  -- as it is written most
    posts bigint,
    avg_engagement double precision,
    rank integer,
    primary key (platform, profile_id, tag)
);
create index social_profile_hashtags_tag on social_profile_hashtags (tag, posts desc);

create table collection_hashtag (
    collection_type text not null,
    collection_id uuid not null,
    partner_id bigint not null,
    tag text not null,
    posts bigint,
    creators bigint,
    views bigint,
    avg_engagement_rate double precision,
    primary key (collection_type, collection_id, tag)
);
create index collection_hashtag_partner on collection_hashtag (partner_id);
create index collection_hashtag_posts on collection_hashtag (collection_id, posts desc);

create table collection_keyword (
    collection_type text not null,
    collection_id uuid not null,
    partner_id bigint not null,
    word text not null,
    posts bigint,
    tf double precision,                         -- of the posts that have a text
    idf double precision,                        -- in its genre
    score double precision,                      -- of both
    category text,
    is_tracked boolean,                          -- a keyword collection of the tenant asks for it
    primary key (collection_type, collection_id, word)
);
create index collection_keyword_partner on collection_keyword (partner_id);
create index collection_keyword_posts on collection_keyword (collection_id, posts desc);

create table group_metrics (
    group_id uuid not null,
    partner_id bigint not null,
    collections bigint,
    post_collections bigint,
    profile_collections bigint,
    posts bigint,
    items bigint,
    creators bigint,
    likes bigint,
    comments bigint,
    views bigint,
    reach bigint,
    saves bigint,
    shares bigint,
    engagement bigint,
    followers bigint,
    engagement_rate double precision,
    er_by_views double precision,
    sponsored_posts bigint,
    emv double precision,
    currency text,
    last_at timestamptz,
    primary key (group_id)
);
create index group_metrics_partner on group_metrics (partner_id);

create table dictionary (
    kind text not null,
    platform text not null,
    value text not null,
    label text,
    count bigint,
    primary key (kind, platform, value)
);
create index dictionary_label on dictionary (kind, lower(label));

create table cross_platform_leaderboard (
    person_id text not null,
    month date not null,
    handle text,                                 -- of the account that most follow, as the next ones
    full_name text,
    profile_pic_url text,
    category text,
    language text,
    country text,
    accounts bigint,
    platforms text[],
    followers bigint,
    engagement_rate double precision,            -- the best of theirs
    rank integer,
    rank_prev integer,
    primary key (person_id, month)
);
create index cross_platform_leaderboard_rank on cross_platform_leaderboard (month, rank);

create table linked_social (
    platform text not null,
    profile_id text not null,
    linked_platform text not null,
    linked_profile_id text not null,
    partner_id bigint not null,                  -- who alone may see the row; 0: everybody
    person_id text,
    score double precision,
    evidence text[],
    primary key (platform, profile_id, linked_platform, linked_profile_id, partner_id)
);
create index linked_social_linked on linked_social (linked_platform, linked_profile_id);
create index linked_social_person on linked_social (person_id);

-- array_to_string is not immutable for any type; of text it is.
create function words_of(texts text[]) returns text language sql immutable parallel safe
return array_to_string(texts, ' ');

create table search_profile (
    platform text not null,
    profile_id text not null,
    handle text,
    full_name text,
    bio text,
    profile_pic_url text,
    profile_type text,
    is_verified boolean,
    has_email boolean,
    has_phone boolean,
    has_youtube boolean,
    last_post_at timestamptz,
    person_id text,
    as_of timestamptz,
    row_hash text,
    followers bigint,
    following bigint,
    media_count bigint,
    avg_likes double precision,
    avg_comments double precision,
    avg_views double precision,
    avg_reel_views double precision,
    avg_short_views double precision,
    engagement_rate double precision,
    er_by_views double precision,
    posts_used integer,
    growth_7d double precision,
    growth_30d double precision,
    growth_90d double precision,
    posts_per_week double precision,
    grade text,
    er_percentile double precision,
    bucket text,
    category text, category_basis text,
    language text, language_basis text,
    country text, country_basis text,
    city text, city_basis text,
    gender text, gender_basis text,
    age_band text, age_band_basis text,
    keywords text[],
    hashtags text[],
    mentions text[],
    brands text[],
    audience_gender jsonb,
    audience_age jsonb,
    audience_country jsonb,
    audience_city jsonb,
    audience_language jsonb,
    audience_tokens text[],                      -- kind:value:step, cumulative tens of percent
    fake_share double precision,
    credibility double precision,
    aqs double precision,
    anomalies_90d integer,
    sponsored_share double precision,
    paid_performance double precision,
    emv_per_post double precision,
    price_low double precision,
    price_mid double precision,
    price_high double precision,
    doc tsvector generated always as (
        setweight(to_tsvector('simple', coalesce(handle, '') || ' ' || coalesce(full_name, '')), 'A')
        || setweight(to_tsvector('simple', coalesce(words_of(keywords), '')), 'B')
        || setweight(to_tsvector('simple', left(coalesce(bio, ''), 10000)), 'C')
    ) stored,
    primary key (platform, profile_id)
);
create index search_profile_followers on search_profile (platform, followers desc nulls last, profile_id);
create index search_profile_engagement_rate on search_profile (platform, engagement_rate desc nulls last, profile_id);
create index search_profile_growth_30d on search_profile (platform, growth_30d desc nulls last, profile_id);
create index search_profile_avg_views on search_profile (platform, avg_views desc nulls last, profile_id);
create index search_profile_aqs on search_profile (platform, aqs desc nulls last, profile_id);
create index search_profile_price_mid on search_profile (platform, price_mid desc nulls last, profile_id);
create index search_profile_category on search_profile (platform, category, followers desc nulls last, profile_id);
create index search_profile_country on search_profile (platform, country, followers desc nulls last, profile_id);
create index search_profile_language on search_profile (platform, language, followers desc nulls last, profile_id);
create index search_profile_doc on search_profile using gin (doc);
create index search_profile_handle on search_profile (lower(handle) text_pattern_ops);

-- Scalars in a GIN index, and trigrams, where the server has them and lets us: without them the search has the rest.
do $$
begin
    create extension if not exists btree_gin;
    create index search_profile_facets on search_profile
        using gin (platform, category, language, country, city, gender, keywords, audience_tokens);
exception when undefined_file or insufficient_privilege or feature_not_supported then
    create index search_profile_facets on search_profile using gin (keywords, audience_tokens);
end $$;
do $$
begin
    create extension if not exists pg_trgm;
    create index search_profile_handle_trigrams on search_profile using gin (lower(handle) gin_trgm_ops);
    create index search_profile_name_trigrams on search_profile using gin (lower(full_name) gin_trgm_ops);
exception when undefined_file or insufficient_privilege or feature_not_supported then
    raise notice 'no trigrams: pg_trgm is not to be had';
end $$;
