-- Sessions and who they are of (see gcc/stores/postgres_identity.py). The database's clock decides.

-- name: throttle_key
select 'email ' || encode(sha256(convert_to(lower(%(email)s), 'UTF8')), 'hex') as key;

-- name: throttle_lock
select pg_advisory_xact_lock(hashtextextended(key, 1)) from unnest(%(keys)s::text[]) as key;

-- name: throttle_ages
-- How many seconds ago its attempts were that failed, the oldest first.
select key, extract(epoch from clock_timestamp() - at)::float8
from login_failure
where key = %(address)s and at > clock_timestamp() - interval '1 minute'
   or key = %(person)s and at > clock_timestamp() - interval '6 hours'
order by at;

-- name: throttle_count
insert into login_failure (key, at) select key, clock_timestamp() from unnest(%(keys)s::text[]) as key returning id;

-- name: throttle_forget
-- Attempts that were none, or all of an e-mail whose password was right.
delete from login_failure where id = any(%(ids)s) or key = %(key)s;

-- name: throttle_prune
delete from login_failure where at < now() - interval '6 hours';

-- name: partner_of_email
-- Before a tenant is known: the e-mail gives it. Who is unknown is of a partner that there is not, and costs as much.
select coalesce(partner_of_email(%(email)s), -1);

-- name: user_by_email
select u.id, u.partner_id, u.account_id, u.email, u.name, u.role, u.password_hash, a.name as account, p.name as partner,
       u.disabled_at is not null as disabled, p.disabled_at is not null as suspended
from app_user as u
join account as a on (a.partner_id, a.id) = (u.partner_id, u.account_id)
join partner as p on p.id = u.partner_id
where u.partner_id = %(partner_id)s and u.email_key = lower(%(email)s);

-- name: user
select u.id, u.partner_id, u.account_id, u.email, u.name, u.role, u.password_hash, a.name as account, p.name as partner,
       u.disabled_at is not null as disabled, p.disabled_at is not null as suspended
from app_user as u
join account as a on (a.partner_id, a.id) = (u.partner_id, u.account_id)
join partner as p on p.id = u.partner_id
where u.partner_id = %(partner_id)s and u.id = %(user_id)s;

-- name: rehash
-- Unless it was changed meanwhile.
update app_user set password_hash = %(new)s
where partner_id = %(partner_id)s and id = %(user_id)s and password_hash = %(old)s;

-- name: begin_session
-- Nothing, where the user was disabled or got another password since this one was looked at.
insert into api_session (id, partner_id, user_id, device_id, ip, agent, expires_at)
select %(session_id)s, partner_id, id, (select id from device where id = %(device_id)s for key share), %(ip)s, %(agent)s,
       now() + %(life_s)s * interval '1 second'
from app_user
where partner_id = %(partner_id)s and id = %(user_id)s and password_hash = %(password_hash)s and disabled_at is null
for share
returning id;

-- name: add_refresh
-- It lives for so long, and no longer than its session.
insert into refresh_token (hash, partner_id, session_id, expires_at)
select %(hash)s, partner_id, id, least(now() + %(life_s)s * interval '1 second', expires_at)
from api_session where partner_id = %(partner_id)s and id = %(session_id)s;

-- name: partner_of_refresh_token
-- Before a tenant is known: the token gives it.
select coalesce(partner_of_refresh_token(%(hash)s), -1);

-- name: lock_refresh
-- Who else holds it waits.
select partner_id, session_id, used_at is not null as used,
       extract(epoch from clock_timestamp() - used_at)::float8 as used_ago_s, expires_at > clock_timestamp() as lives
from refresh_token where partner_id = %(partner_id)s and hash = %(hash)s for update;

-- name: refreshing
-- The session of a refresh token with its user; nothing where one of them has ended.
select s.id as session_id, u.id, u.partner_id, u.account_id, u.email, u.name, u.role, u.password_hash,
       a.name as account, p.name as partner, false as disabled, p.disabled_at is not null as suspended
from api_session as s
join app_user as u on (u.partner_id, u.id) = (s.partner_id, s.user_id)
join account as a on (a.partner_id, a.id) = (u.partner_id, u.account_id)
join partner as p on p.id = u.partner_id
where s.partner_id = %(partner_id)s and s.id = %(session_id)s and s.revoked_at is null and s.expires_at > clock_timestamp()
  and u.disabled_at is null;

-- name: successors
-- Which of these are there, and whether they were used.
select hash, used_at is not null from refresh_token
where partner_id = %(partner_id)s and session_id = %(session_id)s and hash = any(%(hashes)s);

-- name: use_refresh
update refresh_token set used_at = clock_timestamp() where partner_id = %(partner_id)s and hash = %(hash)s;

-- name: session
-- One that lives, by its id and partner, which a signed token gives.
select s.id, s.partner_id, s.user_id, u.account_id, u.role, s.expires_at
from api_session as s
join app_user as u on (u.partner_id, u.id) = (s.partner_id, s.user_id)
where s.partner_id = %(partner_id)s and s.id = %(session_id)s and s.revoked_at is null and s.expires_at > now() and u.disabled_at is null;

-- name: sessions
select id, created_at, last_seen_at, ip, agent, user_id
from api_session
where partner_id = %(partner_id)s and user_id = %(user_id)s and revoked_at is null and expires_at > now()
order by created_at desc, id desc limit 100;

-- name: revoke_session
-- `of`: whose alone; null: of anybody at the partner.
update api_session set revoked_at = now()
where partner_id = %(partner_id)s and id = %(session_id)s and revoked_at is null
  and (%(of)s::uuid is null or user_id = %(of)s)
returning id;

-- name: revoke_sessions
-- All of a user, but one (null: all).
update api_session set revoked_at = now()
where partner_id = %(partner_id)s and user_id = %(user_id)s and revoked_at is null
  and id is distinct from %(but)s::uuid
returning id;

-- name: seen
update api_session set last_seen_at = now() where id = any(%(session_ids)s);

-- name: prune_expired
-- What has ended a month ago, with its tokens. A statement for each index.
delete from api_session where expires_at < now() - interval '30 days';

-- name: prune_revoked
delete from api_session where revoked_at < now() - interval '30 days';

-- name: prune_devices
-- So many that never logged in, or whose sessions are gone: anybody makes them, without a token.
with unused as materialized (
    select d.id from device as d
    where d.created_at < now() - interval '1 day' and not exists (select from api_session as s where s.device_id = d.id)
    order by d.created_at limit %(limit)s for update skip locked
)
delete from device using unused where device.id = unused.id;

-- name: contracts
-- A partner, and what it has signed.
select p.name, p.disabled_at is not null as suspended, p.limits, c.plan, c.starts_at, c.ends_at, c.limits
from partner as p
left join partner_contract as c on c.partner_id = p.id and c.type = 'SAAS' and c.deleted_at is null
where p.id = %(partner_id)s
order by c.starts_at;

-- name: invalidate
select pg_notify('gcc_invalidate', told) from unnest(%(told)s::text[]) as told;

-- name: set_password
update app_user set password_hash = %(new)s
where partner_id = %(partner_id)s and id = %(user_id)s and password_hash = %(old)s and disabled_at is null
returning id;

-- name: drop_resets
-- A new link, or a new password, ends the links before it.
delete from reset_token where partner_id = %(partner_id)s and user_id = %(user_id)s and used_at is null;

-- name: add_device
insert into device (id, client_id) values (%(id)s, %(client_id)s);
