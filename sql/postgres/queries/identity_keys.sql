-- API keys (see gcc/stores/postgres_identity_keys.py).

-- name: partner
-- Before a tenant is known: the key gives it.
select coalesce(partner_of_api_key(%(prefix)s, %(hash)s), -1);

-- name: caller
select id, partner_id, role, expires_at, cidrs from api_key
where partner_id = %(partner_id)s and prefix = %(prefix)s and hash = %(hash)s and revoked_at is null and (expires_at is null or expires_at > now());

-- name: keys
select id, prefix, name, role, cidrs::text[] as cidrs, expires_at, last_used_at, created_at from api_key
where partner_id = %(partner_id)s and revoked_at is null and (expires_at is null or expires_at > now())
  and (%(before)s::timestamptz is null or (created_at, id) < (%(before)s, %(before_id)s::uuid))
order by created_at desc, id desc limit %(limit)s;

-- name: count
select count(*) from api_key
where partner_id = %(partner_id)s and revoked_at is null and (expires_at is null or expires_at > now());

-- name: add
insert into api_key (id, partner_id, prefix, hash, name, role, cidrs, expires_at)
values (%(id)s, %(partner_id)s, %(prefix)s, %(hash)s, %(name)s, %(role)s, %(cidrs)s::cidr[], %(expires_at)s)
returning id, prefix, name, role, cidrs::text[] as cidrs, expires_at, last_used_at, created_at;

-- name: living
-- Nobody ends it meanwhile.
select rotated_at is not null as rotated from api_key
where partner_id = %(partner_id)s and id = %(id)s and revoked_at is null and (expires_at is null or expires_at > now())
for update;

-- name: succeed
-- A key with the rights of another that lives.
insert into api_key (id, partner_id, prefix, hash, name, role, cidrs, expires_at)
select %(id)s, partner_id, %(prefix)s, %(hash)s, name, role, cidrs, expires_at
from api_key
where partner_id = %(partner_id)s and id = %(old)s and revoked_at is null and (expires_at is null or expires_at > now())
returning id, prefix, name, role, cidrs::text[] as cidrs, expires_at, last_used_at, created_at;

-- name: expire
update api_key set expires_at = least(expires_at, now() + %(life_s)s * interval '1 second'), rotated_at = now()
where partner_id = %(partner_id)s and id = %(id)s;

-- name: revoke
update api_key set revoked_at = now() where partner_id = %(partner_id)s and id = %(id)s and revoked_at is null returning id;

-- name: used
update api_key set last_used_at = now() where id = any(%(ids)s);
