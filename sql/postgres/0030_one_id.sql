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

-- Null: it is no shortcode that tells an id. Of a private account's post a key of 28 characters follows it.
create function instagram_media_id(shortcode text) returns text language sql immutable as $$
    select case when code ~ '^[A-Za-z0-9_-]{9,11}$' then (
        select sum((strpos('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_', letter) - 1)
                   * 64::numeric ^ (length(code) - place))::numeric(20, 0)::text
        from regexp_split_to_table(code, '') with ordinality as letters (letter, place)
    ) end
    from (select case when length(shortcode) > 28 then left(shortcode, -28) else shortcode end as code) as told
$$;
create table instagram_post_id as
    select was, post_id, row_number() over (partition by post_id order by scraped_at desc, was) as place
    from (
        select post_id as was, coalesce(instagram_media_id(shortcode), post_id) as post_id, scraped_at
        from instagram_post
    ) as told;

-- Of those that stand here under both, and twice, the one that was seen last stays, with what the other one alone tells.
with gone as (
    delete from instagram_post as post using instagram_post_id as own
    where post.post_id = own.was and own.place > 1
    returning own.post_id as own, post.*
)
update instagram_post as post
set fbid = case when gone.post_id ~ '^1[78][0-9]{15}$' then gone.post_id end,
    profile_id = coalesce(post.profile_id, gone.profile_id), post_type = coalesce(post.post_type, gone.post_type),
    caption = coalesce(post.caption, gone.caption), hashtags = coalesce(post.hashtags, gone.hashtags),
    likes = coalesce(post.likes, gone.likes), comments = coalesce(post.comments, gone.comments),
    plays = coalesce(post.plays, gone.plays), reach = coalesce(post.reach, gone.reach),
    impressions = coalesce(post.impressions, gone.impressions), shares = coalesce(post.shares, gone.shares),
    saved = coalesce(post.saved, gone.saved), thumbnail_url = coalesce(post.thumbnail_url, gone.thumbnail_url),
    publish_time = coalesce(post.publish_time, gone.publish_time)
from gone join instagram_post_id as own on own.post_id = gone.own and own.place = 1
where post.post_id = own.was;
update instagram_post as post
set post_id = own.post_id, fbid = case when own.was ~ '^1[78][0-9]{15}$' then own.was else post.fbid end
from instagram_post_id as own
where post.post_id = own.was and own.post_id <> own.was;
update post_activity_log set post_id = instagram_media_id(shortcode)
where platform = 'INSTAGRAM' and instagram_media_id(shortcode) <> post_id;
drop function instagram_media_id(text);
drop table instagram_post_id;
analyze instagram_account, instagram_post; -- what is looked for by the new columns is found by their indexes at once

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
