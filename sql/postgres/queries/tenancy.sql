-- What the owner of the tables and the role of requests may. See gcc/stores/tenancy.py.

-- name: who
-- Whose connection it is, and why row-level security would not hold it.
select current_user::text,
       case when rolsuper then 'a superuser'
            when rolbypassrls then 'one with BYPASSRLS'
            when exists (select from pg_class where oid = to_regclass('partner') and pg_has_role(relowner, 'member'))
            then 'the owner of the tables, or a member of that role' end
from pg_roles where rolname = current_user;

-- name: is_in
select coalesce(has_table_privilege(to_regclass('partner'), 'select'), false);

-- name: is_seen
-- Whether the owner sees what sessions of the role are at: replicas must know since when each transaction is open.
select pg_has_role(%(role)s, 'usage') or pg_has_role('pg_read_all_stats', 'usage');

-- name: due_to_owner
-- Policies name the role: a restore under another owner lost them, or has those of the old one.
select format('select let_platform_see(%L)', polrelid::regclass)
from pg_policy as held join pg_class on pg_class.oid = polrelid
where polname = 'tenant' and relnamespace = current_schema()::regnamespace and relowner = current_user::regrole
  and not exists (select from pg_policy as seen
                  where seen.polrelid = held.polrelid and polname = 'platform' and polroles = array[relowner]);

-- name: due
-- The statements that give a role of that name what it may, but for what it has. The secrets of sources are no business of
-- requests, contracts are written by staff; what a sync has in hand is nobody's yet.
with may as (
    select oid,
           case relname when 'partner_contract' then '{select}'::text[] else '{select,insert,update,delete}' end as rights
    from pg_class
    where relnamespace = current_schema()::regnamespace and relkind in ('r', 'v') and pg_has_role(relowner, 'member')
      and relname not in ('schema_migration', 'credential', 'credential_rest', 'credential_use')
      and relname !~ '__(new|old)$'
)
select format('grant usage on schema %%I to %%I', current_schema(), %(role)s::text)
where not has_schema_privilege(%(role)s, current_schema(), 'usage')
union all
select format('grant %%s on %%s to %%I', array_to_string(rights, ', '), oid::regclass, %(role)s::text)
from may where exists (select from unnest(rights) as need where not has_table_privilege(%(role)s, oid, need))
union all
select format('grant execute on function %%s to %%I', oid::regprocedure, %(role)s::text)
from pg_proc
where pronamespace = current_schema()::regnamespace and prosecdef and pg_has_role(proowner, 'member')
  and not has_function_privilege(%(role)s, oid, 'execute');
