-- Creators who let partners in (see gcc/stores/connections.py). The database's clock decides.

-- name: ask
-- Nothing, where the partner has no such account, or it is not the asker's, who does not see the `whole` of the partner: so
-- never for a key.
insert into oauth_state (hash, partner_id, account_id, user_id, platform, verifier, redirect_uri, return_to, expires_at)
select %(hash)s, partner_id, id, %(user_id)s, %(platform)s, %(verifier)s, %(redirect_uri)s, %(return_to)s,
       now() + %(life_s)s * interval '1 second'
from account
where partner_id = %(partner_id)s and id = %(account_id)s and (%(whole)s or id = %(own)s)
returning expires_at;

-- name: answered
-- Good once. Before a tenant is known: the digest gives it.
delete from oauth_state where hash = %(hash)s and platform = %(platform)s and expires_at > clock_timestamp()
returning partner_id, account_id, user_id, platform, verifier, redirect_uri, return_to;

-- name: may_connect
-- Whether who asked may still: neither they nor the partner have ended since. Nor do they until what they are connected to
-- is committed: an end waits for that, so nothing begins after it.
select from partner as p
where p.id = %(partner_id)s and p.disabled_at is null and p.deleted_at is null
  and (%(user_id)s::uuid is null or exists (
      select from app_user as u
      where u.partner_id = p.id and u.id = %(user_id)s and u.disabled_at is null and u.role in ('EDITOR', 'OWNER')
      for share))
for share;

-- name: connect
-- The same account again is the same connection.
insert into connection (id, partner_id, account_id, platform, profile_id, handle, source, scopes)
values (%(id)s, %(partner_id)s, %(account_id)s, %(platform)s, %(profile_id)s, %(handle)s, %(source)s, %(scopes)s)
on conflict (partner_id, account_id, platform, profile_id) do update
set handle = excluded.handle, source = excluded.source, scopes = excluded.scopes, state = 'ACTIVE'
returning id;

-- name: give
insert into oauth_grant (id, partner_id, connection_id, sealed, key_id)
values (%(id)s, %(partner_id)s, %(connection_id)s, %(sealed)s, %(key_id)s);

-- name: list
-- Of the account `own`, or of the `whole` partner, the newest first.
select id, account_id, platform, profile_id, handle, scopes, state, created_at
from connection
where partner_id = %(partner_id)s and (%(whole)s or account_id = %(own)s)
  and (%(before)s::timestamptz is null or (created_at, id) < (%(before)s, %(before_id)s::uuid))
order by created_at desc, id desc limit %(limit)s;

-- name: end
update connection set state = 'REVOKED'
where partner_id = %(partner_id)s and id = %(id)s and (%(whole)s or account_id = %(own)s) and state <> 'REVOKED'
returning id;

-- name: withdraw
-- What no listener has taken yet makes no credential any more; who is at it sees the end when it is done.
update oauth_grant set sealed = null, key_id = null
where partner_id = %(partner_id)s and connection_id = %(id)s;

-- name: end_credential
-- Of a connection that was ended; of another it ends nothing.
select end_credential(%(partner_id)s, %(id)s);

-- name: granted
-- To the listener, who knows no tenant: the id gives it.
select partner_id, connection_id, sealed, key_id from oauth_grant where id = %(id)s;

-- name: taken
update oauth_grant set sealed = null, key_id = null where partner_id = %(partner_id)s and id = %(id)s;

-- name: hold
-- So that nobody is connected anew between the look at what a connection has and its end.
select from connection where id = any(%(ids)s) order by id for update;

-- name: expire
-- Those whose credentials (named by their ids) are these, but where a newer token lives, or is on its way.
update connection as c set state = 'EXPIRED'
where id = any(%(ids)s) and state = 'ACTIVE'
  and not exists (select from credential as k where k.source = c.source and k.handle = c.id::text and k.enabled)
  and not exists (
      select from oauth_grant as g where (g.partner_id, g.connection_id) = (c.partner_id, c.id) and g.sealed is not null)
returning id, partner_id, platform;

-- name: dead
-- Active ones, of any partner, whose credentials wait for a new token, however that was found.
select c.id, c.partner_id from connection as c
join credential as k on k.source = c.source and k.handle = c.id::text and not k.enabled
where c.state = 'ACTIVE' and not exists (
    select from oauth_grant as g where (g.partner_id, g.connection_id) = (c.partner_id, c.id) and g.sealed is not null)
limit 500;

-- name: prune
-- What nobody brings back any more, and what lies taken.
with old as (delete from oauth_state where expires_at < now())
delete from oauth_grant
where created_at < now() - case when sealed is null then interval '1 day' else interval '30 days' end;
