-- What became of profiles: their states, and the handles that they had. And which hashtags each account asked for.

alter table instagram_account add column state text not null default 'active'
    check (state in ('active', 'private', 'renamed', 'gone', 'unknown'));
alter table youtube_account add column state text not null default 'active'
    check (state in ('active', 'private', 'renamed', 'gone', 'unknown'));

create table profile_handle (
    platform text not null,
    profile_id text not null,
    handle text not null,
    first_seen_at timestamptz not null,
    left_at timestamptz,                         -- by when it had another one; null: it has it still
    primary key (platform, profile_id, handle)
);
create index profile_handle_handle on profile_handle (platform, lower(handle));
insert into profile_handle (platform, profile_id, handle, first_seen_at)
select 'INSTAGRAM', profile_id, handle, scraped_at from instagram_account
union all
select 'YOUTUBE', channel_id, handle, scraped_at from youtube_account where handle is not null;

-- Arguments: the platform, and the column of a profile's id.
create function keep_handle() returns trigger language plpgsql as $$
declare
    own text := to_jsonb(new) ->> tg_argv[1];
begin
    if tg_op = 'UPDATE' then
        update profile_handle set left_at = new.scraped_at
        where platform = tg_argv[0] and profile_id = own and handle = old.handle;
    end if;
    if new.handle is not null then
        insert into profile_handle (platform, profile_id, handle, first_seen_at)
        values (tg_argv[0], own, new.handle, new.scraped_at)
        on conflict (platform, profile_id, handle) do update set left_at = null;
        -- a handle is one profile's at a time: whoever had it before has another one now
        execute format(
            'update %I set state = ''renamed'' where lower(handle) = lower($1) and %I <> $2 and scraped_at <= $3 and state <> ''renamed''',
            tg_table_name, tg_argv[1]
        ) using new.handle, own, new.scraped_at;
    end if;
    return null;
end $$;
create trigger instagram_account_found after insert on instagram_account
    for each row execute function keep_handle('INSTAGRAM', 'profile_id');
create trigger instagram_account_renamed after update of handle on instagram_account
    for each row when (old.handle is distinct from new.handle) execute function keep_handle('INSTAGRAM', 'profile_id');
create trigger youtube_account_found after insert on youtube_account
    for each row execute function keep_handle('YOUTUBE', 'channel_id');
create trigger youtube_account_renamed after update of handle on youtube_account
    for each row when (old.handle is distinct from new.handle) execute function keep_handle('YOUTUBE', 'channel_id');

-- A refresh that ended since there is no such profile, or none that may be seen, is the state of the one that it was for.
create function keep_state() returns trigger language plpgsql as $$
declare
    told text := case new.data ->> 'code' when 'PROFILE_NOT_FOUND' then 'gone' else 'unknown' end;
    asked text := coalesce(new.params ->> 'profile_id', new.params ->> 'handle');
begin
    if new.platform = 'YOUTUBE' then
        update youtube_account set state = told
        where (channel_id = asked or lower(handle) = lower(asked)) and state not in (told, 'renamed');
    elsif new.params ? 'profile_id' then
        update instagram_account set state = told where profile_id = asked and state <> told;
    else
        update instagram_account set state = told where lower(handle) = lower(asked) and state not in (told, 'renamed');
    end if;
    return null;
end $$;
create trigger scrape_request_log_of_nobody after update of status on scrape_request_log
    for each row
    when (new.status = 'FAILED' and new.data ->> 'code' in ('PROFILE_NOT_FOUND', 'NOT_VISIBLE')
          and new.flow in ('refresh_profile_by_handle', 'refresh_profile_basic', 'refresh_profile_custom',
                           'refresh_profile_by_profile_id', 'refresh_yt_profiles'))
    execute function keep_state();

drop index scrape_request_log_not_found;
create index scrape_request_log_not_found on scrape_request_log (idempotency_key, scraped_at)
    where status = 'FAILED' and data ->> 'code' in ('PROFILE_NOT_FOUND', 'NOT_VISIBLE');

create table hashtag (
    tag text primary key,
    hashtag_id text not null                     -- Instagram's, the same for whoever asks
);

create table hashtag_query (
    account text not null,                       -- the Instagram user id that asked
    tag text not null,
    asked_at timestamptz not null,               -- first: asking again within 7 days is free, and does not begin them anew
    primary key (account, tag)
);
