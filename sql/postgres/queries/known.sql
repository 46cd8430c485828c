-- name: handle_of
select handle from instagram_account where profile_id = %(profile_id)s;

-- name: author_of
-- Whose a post is; "" for what is not told.
select coalesce(post.profile_id, ''), coalesce(account.handle, ''), post.post_id, post.shortcode
from instagram_post as post
left join instagram_account as account using (profile_id)
where (post.shortcode = %(shortcode)s and %(shortcode)s <> '') or (post.post_id = %(post_id)s and %(post_id)s <> '')
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
