-- Partners and their contracts, as operators keep them (see gcc/stores/postgres_identity_partners.py).

-- name: partners
select id, name, disabled_at is not null as disabled, created_at from partner
where id > %(after)s and deleted_at is null order by id limit %(limit)s;

-- name: partner
select id, name, disabled_at is not null as disabled, created_at from partner where id = %(partner_id)s and deleted_at is null;

-- name: add
insert into partner (id, name) values (nextval('partner_id'), %(name)s)
returning id, name, disabled_at is not null as disabled, created_at;

-- name: change
update partner set
    name = coalesce(%(name)s, name),
    disabled_at = case %(disabled)s::boolean when true then coalesce(disabled_at, now()) when false then null else disabled_at end
where id = %(partner_id)s and id <> 0 and deleted_at is null
returning id, name, disabled_at is not null as disabled, created_at;

-- name: set_limits
update partner set limits = %(limits)s where id = %(partner_id)s and id <> 0 and deleted_at is null returning limits;

-- name: contracts
select id, partner_id, type, plan, starts_at, ends_at, limits, created_at from partner_contract
where partner_id = %(partner_id)s and deleted_at is null
  and (%(before)s::timestamptz is null or (created_at, id) < (%(before)s, %(before_id)s::uuid))
order by created_at desc, id desc limit %(limit)s;

-- name: add_contract
insert into partner_contract (id, partner_id, type, plan, starts_at, ends_at, limits)
select %(id)s, id, %(type)s, %(plan)s, %(starts_at)s, %(ends_at)s, %(limits)s
from partner where id = %(partner_id)s and id <> 0 and deleted_at is null
returning id, partner_id, type, plan, starts_at, ends_at, limits, created_at;

-- name: change_contract
update partner_contract set
    plan = coalesce(%(plan)s, plan),
    starts_at = coalesce(%(starts_at)s, starts_at),
    ends_at = coalesce(%(ends_at)s, ends_at),
    limits = coalesce(%(limits)s, limits)
where id = %(id)s and deleted_at is null
returning id, partner_id, type, plan, starts_at, ends_at, limits, created_at;
