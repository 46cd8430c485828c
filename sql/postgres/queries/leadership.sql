-- name: campaign
-- Elects or renews, by the database's clock alone. Somebody else's term that has not run out yields no row.
-- A holder that comes back after its own term ran out gets a new one.
insert into leader as held (name, holder, term, until)
values (%(name)s, %(holder)s, 1, now() + make_interval(secs => %(ttl_s)s))
on conflict (name) do update
set holder = excluded.holder, until = excluded.until,
    term = held.term + (held.holder <> excluded.holder or held.until <= now())::integer
where held.holder = excluded.holder or held.until <= now()
returning term;

-- name: resign
-- Ends the term now, so that a successor need not wait for its end.
update leader set until = now() where name = %(name)s and holder = %(holder)s and term = %(term)s and until > now();

-- name: end_terms
--- Ends all of them: of a predecessor that is dead.
update leader set until = now() where until > now();

-- name: hold
-- The fence: a row only while the term runs; nobody can be elected before the transaction that asked ends.
select term from leader where name = %(name)s and term = %(term)s and until > now() for share;
