-- A tenant's jobs, as it asks for them. An owner sees its partner's, others their account's. See gcc/stores/api_jobs_asked.py.

-- name: columns
-- What {columns} stands for.
id, kind, state, done, total, failed, result, object_key is not null as has_file, freed_at is not null as freed, created_at,
started_at, ended_at;

-- name: turn
-- One at a time adds a job, so that two find the last place not both free.
select id from partner where id = %(partner_id)s for no key update;

-- name: unfinished
select count(*) from api_job where partner_id = %(partner_id)s and state in ('PENDING', 'RUNNING');

-- name: add
insert into api_job (id, partner_id, account_id, user_id, role, plan, kind, params)
values (%(id)s, %(partner_id)s, %(account_id)s, %(user_id)s, %(role)s, %(plan)s, %(kind)s, %(params)s)
returning {columns};

-- name: all
select {columns} from api_job
where partner_id = %(partner_id)s and (%(whole)s or account_id is not distinct from %(account_id)s)
  and (%(state)s::text is null or state = %(state)s) and (%(kind)s::text is null or kind = %(kind)s)
  and (%(before)s::timestamptz is null or (created_at, id) < (%(before)s, %(before_id)s::uuid))
order by created_at desc, id desc
limit %(limit)s;

-- name: one
select {columns} from api_job
where partner_id = %(partner_id)s and id = %(id)s and (%(whole)s or account_id is not distinct from %(account_id)s);

-- name: cancel
-- PENDING, RUNNING -> CANCELLED. A batch under way cannot commit any more.
update api_job set state = 'CANCELLED', lease_until = null, ended_at = now()
where partner_id = %(partner_id)s and id = %(id)s and (%(whole)s or account_id is not distinct from %(account_id)s)
  and state in ('PENDING', 'RUNNING')
returning {columns};
