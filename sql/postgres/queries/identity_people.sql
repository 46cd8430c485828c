-- Users, accounts, invitations and links for a new password of one partner (see gcc/stores/postgres_identity_people.py).

-- name: turn
-- One after the other: what several owners do at once may leave no owner.
select id from partner where id = %(partner_id)s for no key update;

-- name: owners
select count(*) from app_user where partner_id = %(partner_id)s and role = 'OWNER' and disabled_at is null;

-- name: users
select id, account_id, email, name, role, disabled_at is not null as disabled, created_at
from app_user
where partner_id = %(partner_id)s
  and (%(before)s::timestamptz is null or (created_at, id) < (%(before)s, %(before_id)s::uuid))
order by created_at desc, id desc limit %(limit)s;

-- name: change_user
-- What is null stays. Nothing changes where all of it is so already.
update app_user set
    role = coalesce(%(role)s, role),
    name = coalesce(%(name)s, name),
    disabled_at = case %(disabled)s::boolean when true then coalesce(disabled_at, now()) when false then null else disabled_at end
where partner_id = %(partner_id)s and id = %(user_id)s
returning id, account_id, email, name, role, disabled_at is not null as disabled, created_at;

-- name: delete_user
delete from app_user where partner_id = %(partner_id)s and id = %(user_id)s returning id;

-- name: accounts
select id, name, created_at from account
where partner_id = %(partner_id)s
  and (%(before)s::timestamptz is null or (created_at, id) < (%(before)s, %(before_id)s::uuid))
order by created_at desc, id desc limit %(limit)s;

-- name: add_account
insert into account (id, partner_id, name) values (%(id)s, %(partner_id)s, %(name)s) returning id, name, created_at;

-- name: rename_account
update account set name = %(name)s where partner_id = %(partner_id)s and id = %(id)s returning id, name, created_at;

-- name: own_account
-- The one that is named; null: the partner's first.
select id from account
where partner_id = %(partner_id)s and (%(account_id)s::uuid is null or id = %(account_id)s)
order by created_at, id limit 1;

-- name: user_with_email
select id from app_user where partner_id = %(partner_id)s and email_key = lower(%(email)s);

-- name: drop_old_invitations
delete from invitation
where partner_id = %(partner_id)s and lower(email) = lower(%(email)s) and used_at is null and expires_at <= now();

-- name: drop_invitations
delete from invitation where partner_id = %(partner_id)s and lower(email) = lower(%(email)s) and used_at is null;

-- name: invite
insert into invitation (id, partner_id, account_id, email, role, hash, expires_at)
values (%(id)s, %(partner_id)s, %(account_id)s, %(email)s, %(role)s, %(hash)s, now() + %(life_s)s * interval '1 second')
returning id, account_id, email, role, expires_at, created_at;

-- name: invitations
select id, account_id, email, role, expires_at, created_at from invitation
where partner_id = %(partner_id)s and used_at is null and expires_at > now()
  and (%(before)s::timestamptz is null or (created_at, id) < (%(before)s, %(before_id)s::uuid))
order by created_at desc, id desc limit %(limit)s;

-- name: delete_invitation
delete from invitation where partner_id = %(partner_id)s and id = %(id)s and used_at is null returning id;

-- name: partner_of_invitation
-- Before a tenant is known: the token gives it.
select coalesce(partner_of_invitation(%(hash)s), -1);

-- name: invitation
select partner_id, account_id, email, role from invitation
where partner_id = %(partner_id)s and hash = %(hash)s and used_at is null and expires_at > now();

-- name: use_invitation
update invitation set used_at = now()
where partner_id = %(partner_id)s and hash = %(hash)s and used_at is null and expires_at > now()
returning account_id, email, role;

-- name: add_user
insert into app_user (id, partner_id, account_id, email, name, role, password_hash)
values (%(id)s, %(partner_id)s, %(account_id)s, %(email)s, %(name)s, %(role)s, %(password_hash)s);

-- name: add_reset
-- Nothing, where there is no such user, or they are disabled.
insert into reset_token (id, partner_id, user_id, hash, expires_at)
select %(id)s, partner_id, id, %(hash)s, now() + %(life_s)s * interval '1 second'
from app_user where partner_id = %(partner_id)s and id = %(user_id)s and disabled_at is null
returning expires_at;

-- name: partner_of_reset
-- Before a tenant is known: the token gives it.
select coalesce(partner_of_reset_token(%(hash)s), -1);

-- name: reset
select r.partner_id, r.user_id from reset_token as r
join app_user as u on (u.partner_id, u.id) = (r.partner_id, r.user_id)
where r.partner_id = %(partner_id)s and r.hash = %(hash)s and r.used_at is null and r.expires_at > now() and u.disabled_at is null;

-- name: use_reset
update reset_token set used_at = now()
where partner_id = %(partner_id)s and hash = %(hash)s and used_at is null and expires_at > now()
returning user_id;

-- name: reset_password
update app_user set password_hash = %(password_hash)s
where partner_id = %(partner_id)s and id = %(user_id)s and disabled_at is null
returning id;
