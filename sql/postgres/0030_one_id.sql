-- One row for each account and post of Instagram, whichever source tells of it: see gcc/sources/instagram/identity.py.
-- `ig_id` is Instagram's own id, `fbid` the Graph API's; profile_id is the one that was known first, and stays. Posts go by
-- Instagram's own, which their shortcodes tell: those that were kept by the Graph API's are renamed here.

alter table instagram_account add column ig_id text, add column fbid text;
alter table instagram_post add column fbid text;
update instagram_account
set fbid = case when profile_id ~ '^1784[0-9]{13}$' then profile_id end,
    ig_id = case when profile_id ~ '^1784[0-9]{13}$' then null else profile_id end;
create index instagram_account_ig_id on instagram_account (ig_id) where ig_id is not null;
create index instagram_account_fbid on instagram_account (fbid) where fbid is not null;
create index instagram_post_fbid on instagram_post (fbid) where fbid is not null;

-- Null: it is no shortcode that tells an id.
create function instagram_media_id(shortcode text) returns text language sql immutable as $$
    select case when shortcode ~ '^[A-Za-z0-9_-]{9,11}$' then (
        select sum((strpos('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_', letter) - 1)
                   * 64::numeric ^ (length(shortcode) - place))::numeric(20, 0)::text
        from regexp_split_to_table(shortcode, '') with ordinality as letters (letter, place)
    ) end
$$;

-- Of those that stand here under both, and twice, the one that was seen last stays.
delete from instagram_post as post using (
    select post_id, row_number() over (
        partition by instagram_media_id(shortcode) order by scraped_at desc, post_id
    ) as place
    from instagram_post where instagram_media_id(shortcode) is not null
) as of_one
where post.post_id = of_one.post_id and of_one.place > 1;
update instagram_post
set post_id = instagram_media_id(shortcode), fbid = case when post_id ~ '^1[78][0-9]{15}$' then post_id end
where instagram_media_id(shortcode) <> post_id;
update post_activity_log set post_id = instagram_media_id(shortcode)
where platform = 'INSTAGRAM' and instagram_media_id(shortcode) <> post_id;
drop function instagram_media_id(text);

-- As in 0028_profile_state.sql; an account is meant by any of its ids.
create or replace function keep_state() returns trigger language plpgsql as $$
declare
    told text := case new.data ->> 'code' when 'PROFILE_NOT_FOUND' then 'gone' else 'unknown' end;
    asked text := coalesce(new.params ->> 'profile_id', new.params ->> 'handle');
begin
    if new.platform = 'YOUTUBE' then
        update youtube_account set state = told
        where (channel_id = asked or lower(handle) = lower(asked)) and state not in (told, 'renamed');
    elsif new.params ? 'profile_id' then
        update instagram_account set state = told
        where (profile_id = asked or ig_id = asked or fbid = asked) and state <> told;
    else
        update instagram_account set state = told where lower(handle) = lower(asked) and state not in (told, 'renamed');
    end if;
    return null;
end $$;
