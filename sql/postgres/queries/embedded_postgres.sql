-- name: find_application
-- Whether its role, that of requests and its database are there, and whether the database is the role's.
select exists (select from pg_roles where rolname = 'gcc'),
       exists (select from pg_auth_members where roleid = to_regrole('gcc_web') and member = to_regrole('gcc')),
       exists (select from pg_database where datname = 'gcc'),
       exists (select from pg_database where datname = 'gcc' and pg_get_userbyid(datdba) = 'gcc')

-- name: create_role
-- Who the platform is: it reads no file and runs no program of the server's, and stays in its own database.
do $$
begin
    create role gcc login nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
    revoke all on database postgres, template1 from public;
end $$

-- name: create_web_role
-- Who requests are: it owns nothing. The platform sees what its sessions are at.
do $$
begin
    if to_regrole('gcc_web') is null then
        create role gcc_web login nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
    end if;
    grant gcc_web to gcc;
end $$

-- name: create_database
-- Once, in a new folder.
create database gcc owner gcc

-- name: hand_over
-- What an earlier version made as the superuser. REASSIGN OWNED refuses to take anything from that one. The database
-- goes with the rest, in one transaction: while it is not the role's, nobody but superusers has been in it.
do $$
declare
    thing record;
begin
    for thing in
        select identified.type, identified.identity
        from (
            select 'pg_namespace'::regclass as catalog, oid from pg_namespace where nspowner = 'postgres'::regrole
            union all
            select 'pg_class'::regclass, oid from pg_class
            where relowner = 'postgres'::regrole and (
                relkind in ('r', 'p', 'v', 'm', 'f')
                -- That of a column follows its table.
                or relkind = 'S' and not exists (
                    select from pg_depend
                    where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype in ('a', 'i')
                )
            )
            union all
            select 'pg_proc'::regclass, oid from pg_proc where proowner = 'postgres'::regrole
            union all
            select 'pg_type'::regclass, oid from pg_type
            where typowner = 'postgres'::regrole and (
                typtype in ('d', 'e', 'r')
                or typtype = 'c' and (select relkind from pg_class where oid = typrelid) = 'c'
            )
            union all
            select 'pg_statistic_ext'::regclass, oid from pg_statistic_ext where stxowner = 'postgres'::regrole
        ) as old, pg_identify_object(old.catalog, old.oid, 0) as identified
        where old.oid >= 16384  -- below are the server's own
    loop
        execute format('alter %s %s owner to gcc', replace(thing.type, ' object', ''), thing.identity);
    end loop;
    alter database gcc owner to gcc;
end $$
