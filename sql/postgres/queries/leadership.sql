-- name: campaign
-- Elects or renews, by the database's clock alone. Somebody else's term that has not run out yields no row.
-- A holder that comes back after its own term ran out gets a new one. Renewing leaves `term` as it is, which is a key
-- (leader_term): so it need not wait for a transaction that holds the term, and who waits does not lock the row.
-- The first term of all names no index to conflict on, since it breaks both at once: whichever another candidate's
-- insert is met at, it was elected.
with renewed as (
    update leader set until = now() + make_interval(secs => %(ttl_s)s)
    where name = %(name)s and holder = %(holder)s and until > now()
    returning term
), elected as (
    update leader set holder = %(holder)s, until = now() + make_interval(secs => %(ttl_s)s), term = term + 1
    where name = %(name)s and until <= now()
    returning term
), first as (
    insert into leader (name, holder, term, until)
    select %(name)s, %(holder)s, 1, now() + make_interval(secs => %(ttl_s)s)
    where not exists (select from leader where name = %(name)s)
    on conflict do nothing
    returning term
)
select term from renewed union all select term from elected union all select term from first;

-- name: resign
-- Ends the term now, so that a successor need not wait for its end.
update leader set until = now() where name = %(name)s and holder = %(holder)s and term = %(term)s and until > now();

-- name: end_terms
--- Ends all of them: of a predecessor that is dead.
update leader set until = now() where until > now();

-- name: hold
-- The fence: a row only while the term runs; nobody can be elected before the transaction that asked ends, but the
-- leader can renew.
select term from leader where name = %(name)s and term = %(term)s and until > now() for key share;
