-- name: account
-- By any of its ids; the row that was there first is the one that is kept up to date. Ordered by text: by the ids
-- themselves, the index of all of them is walked where the planner does not know how few rows there are.
select handle, profile_id, ig_id, fbid from instagram_account
where profile_id = %(profile_id)s or ig_id = %(profile_id)s or fbid = %(profile_id)s
order by id::text
limit 1;

-- name: names_of
-- The ids by which we know the accounts that were told of: the one that was erased, for whom nothing is stored, whatever
-- other id is told beside it; else who has one of their ids; else who has the handle, where no id speaks against it; else
-- whose history was imported by one of the ids.
-- Instagram keeps a handle that was given up for 14 days: who had it in them has it still, or has another one now, and
-- nobody else has it. Later only a post that both have, or an fbid that was rounded, tells it. So where each of two rows
-- has one of the ids, and both had the handle in these days, the older is meant.
select told.id, found.profile_id
from jsonb_to_recordset(%(told)s) as told (
    id text, handle text, at timestamptz, ig_id text, fbid text, about float8, post_ids text[]
)
left join lateral (
    select account.id, account.profile_id, account.handle,
           coalesce(told.ig_id, account.ig_id) as ig_id, coalesce(told.fbid, account.fbid) as fbid
    from instagram_account as account
    where account.profile_id in (told.ig_id, told.fbid) or account.ig_id = told.ig_id or account.fbid = told.fbid
    order by account.id::text
    limit 1
) as own on true, lateral (
    select coalesce(
        (select erased.profile_id from erased_profile as erased
         where erased.platform = 'INSTAGRAM' and erased.profile_id in (told.ig_id, told.fbid)
         limit 1),
        (select account.profile_id from instagram_account as account
         where lower(account.handle) = lower(nullif(told.handle, '')) and account.state not in ('renamed', 'gone')
           and account.id < own.id and lower(account.handle) = lower(own.handle)
           and (account.ig_id is null or own.ig_id is null) and (account.fbid is null or own.fbid is null)
           and coalesce(account.fbid::float8 = told.about, true)
           and account.scraped_at > told.at - interval '14 days'
         order by account.id::text
         limit 1),
        own.profile_id,
        (select account.profile_id from instagram_account as account
         where lower(account.handle) = lower(nullif(told.handle, '')) and account.state not in ('renamed', 'gone')
           and (account.ig_id is null or told.ig_id is null) and (account.fbid is null or told.fbid is null)
           and coalesce(account.fbid::float8 = told.about, true)
           and (account.fbid::float8 = told.about
                or account.scraped_at > told.at - interval '14 days'
                or exists (select from instagram_post as post
                           where post.post_id = any(told.post_ids) and post.profile_id = account.profile_id))
         order by account.scraped_at desc
         limit 1),
        (select tracked.profile_id from tracked_profile as tracked
         where tracked.platform = 'INSTAGRAM' and tracked.profile_id in (told.ig_id, told.fbid)
         order by tracked.added_at
         limit 1)
    ) as profile_id
    offset 0 -- else each is looked for twice
) as found
where found.profile_id is not null;

-- name: author_of
-- Whose a post is, by any of its ids; "" for what is not told.
select coalesce(account.fbid, post.profile_id, ''), coalesce(account.handle, ''), post.post_id, post.shortcode,
       coalesce(post.fbid, '')
from instagram_post as post
left join instagram_account as account using (profile_id)
where (post.shortcode = %(shortcode)s and %(shortcode)s <> '')
   or ((post.post_id = %(post_id)s or post.fbid = %(post_id)s) and %(post_id)s <> '')
order by post.scraped_at desc
limit 1;

-- name: one_hashtag_at_a_time
select pg_advisory_xact_lock(hashtext('gcc hashtag_turn'));

-- name: hashtag_accounts
-- Accounts that may ask for a hashtag now, first those that asked for this one lately: how many they asked for since, and
-- how long ago the first was.
select account, coalesce(bool_or(lately.tag = %(tag)s), false) as asked_it, count(lately.tag) as asked,
       coalesce(extract(epoch from now() - min(lately.asked_at)), 0)::float8 as first_s
from (
    select distinct account from credential
    where source = 'graphapi' and kind in ('token', 'facebook') and account is not null
      and enabled and not data_access_expired and coalesce(disabled_till <= now(), true)
      and coalesce(expires_at > now(), true) and coalesce(data_access_expires_at > now(), true)
      and not exists (
          select from credential_rest as rest
          where rest.source = 'graphapi' and rest.till > now()
            and (rest.scope = 'source' or (rest.scope = 'app' and rest.key = credential.app)
                 or (rest.scope = 'bucket' and rest.key = credential.id::text and rest.bucket = 'hashtag')))
) as asking
left join (
    select account, tag, asked_at from hashtag_query where asked_at > now() - make_interval(secs => %(within_s)s)
) as lately using (account)
group by account
order by asked_it desc, asked, account;

-- name: ask_hashtag
-- The 7 days of a hashtag that was asked for before them begin anew.
insert into hashtag_query (account, tag, asked_at) values (%(account)s, %(tag)s, now())
on conflict (account, tag) do update set asked_at = excluded.asked_at
where hashtag_query.asked_at <= now() - make_interval(secs => %(within_s)s);

-- name: hashtag_id
select hashtag_id from hashtag where tag = %(tag)s;

-- name: hashtag_found
insert into hashtag (tag, hashtag_id) values (%(tag)s, %(hashtag_id)s)
on conflict (tag) do update set hashtag_id = excluded.hashtag_id;
